"""The files of a replay: checked before anything is sent, so that no half of a recording is."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from detector.errors import UsageError
from detector.events.decode import Decoder
from detector.events.inputs import require_regular
from detector.events.rows import Row, read_rows
from detector.events.source import load_source
from detector.features.beth import BETH
from detector.local.recorded_time import RecordedClock

_BATCH_ROWS = 2000


def rows_of(files: Sequence[Path], *, loop: bool = False) -> Iterator[Row]:
    """The events of the files in order; with `loop` again and again, unless there are none."""
    again = True
    while again:
        again = False  # files without an event would otherwise be read without end
        for path in files:
            for row in read_rows(path, BETH.fields):
                yield row
                again = loop


def check_recording(
    files: Sequence[Path], limit: int | None, *, timed: bool, notify: Callable[[str], None], stopped: Callable[[], bool]
) -> int:
    """Check every event that a replay will send; returns their number in one pass over the files.

    The columns of CSV files must be integers. JSON events need only be JSON objects, whatever their source.

    Args:
        files: the files.
        limit: check at most this many events.
        timed: whether each event needs a timestamp.
        notify: gets a line for each file whose timestamps are not in seconds.
        stopped: called regularly; returns whether to stop.

    Raises:
        UsageError: a file cannot be read twice, or an event is invalid; the text names file and line.
    """
    for path in files:
        require_regular(path, "a replay reads its files twice")
    decode = {True: Decoder(load_source("beth"), BETH.fields), False: Decoder(load_source("beth"), [])}
    clocks: dict[str, RecordedClock] = {}
    count = 0
    rows = islice(rows_of(files), limit)
    while (batch := list(islice(rows, _BATCH_ROWS))) and not stopped():
        for from_csv in (True, False):
            _check(decode[from_csv], [row for row in batch if row.from_csv == from_csv])
        if timed:
            _check_times(batch, clocks, notify)
        count += len(batch)
    return count


def _check(decode: Decoder, rows: Sequence[Row]) -> None:
    for invalid in decode([row.value for row in rows]).invalid:
        raise UsageError(
            f"{rows[invalid.row].place}: {invalid.reason}: {invalid.detail}; correct or remove this line: nothing was "
            "sent"
        )


def _check_times(rows: Sequence[Row], clocks: dict[str, RecordedClock], notify: Callable[[str], None]) -> None:
    for row in rows:
        is_first = row.file not in clocks
        clock = clocks.setdefault(row.file, RecordedClock())
        if clock.seconds(row.event.get("timestamp")) is None:
            raise UsageError(f"{row.place}: no timestamp that --speed can follow: use --rate instead; nothing was sent")
        if is_first and clock.unit not in (None, "seconds"):
            notify(f"{row.file}: timestamps are read as {clock.unit}")
