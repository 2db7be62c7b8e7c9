"""Scores files with the daemon's own decoder and model."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

import msgspec
import numpy as np
import numpy.typing as npt

from detector.errors import UsageError
from detector.events.csv_rows import read_rows
from detector.events.source import NO_LABEL
from detector.output_file import replaced_file
from detector.service.scoring import Scorer

_BATCH_ROWS = 2000
_CSV_SUFFIX = ".csv"


@dataclass
class OfflineScores:
    """The results of the files."""

    rows: int = 0
    suspicious: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    labelled_scores: list[npt.NDArray[np.float64]] = field(default_factory=list)
    labels: list[npt.NDArray[np.int8]] = field(default_factory=list)

    def labelled(self) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
        """Labels and scores, `[n]` each, of the labelled events."""
        if not self.labels:
            return np.empty(0, np.int8), np.empty(0)
        return np.concatenate(self.labels), np.concatenate(self.labelled_scores)


def write_scores(files: Sequence[Path], scorer: Scorer, output: Path, other_inputs: Sequence[Path]) -> OfflineScores:
    """Score files into a CSV file, which is replaced only if this succeeds.

    Args:
        files: as for `score_files`.
        scorer: the model.
        output: the CSV file.
        other_inputs: files that were read before, such as the model's: they are no outputs either.

    Raises:
        UsageError: a file cannot be read or written, the output is an input, or a CSV row is invalid.
    """
    with replaced_file(output, [*files, *other_inputs]) as stream:
        return score_files(files, scorer, stream)


def score_files(files: Sequence[Path], scorer: Scorer, output: TextIO | None) -> OfflineScores:
    """Score every row of the files, in order.

    Args:
        files: CSV by their suffix; any other file is NDJSON, one event on each line.
        scorer: the model.
        output: gets a line `row,score,suspicious` for each event, and none for an invalid row; rows are counted from
            0 over all files.

    Raises:
        UsageError: a file cannot be read, or a CSV row is invalid.
    """
    result = OfflineScores()
    writer = csv.writer(output, lineterminator="\n") if output else None
    if writer:
        writer.writerow(["row", "score", "suspicious"])
    values = _values(files, scorer.fields)
    while batch := list(islice(values, _BATCH_ROWS)):
        scored = scorer.score(batch)
        decoded = scored.decoded
        if writer:
            rows = (result.rows + index for index in decoded.accepted)
            # repr of a float is the shortest text that reads back as the same float
            writer.writerows(zip(rows, map(repr, scored.scores.tolist()), scored.suspicious.astype(int), strict=True))
        result.rows += len(batch)
        result.suspicious += int(scored.suspicious.sum())
        result.invalid.update(record.reason for record in decoded.invalid)
        labelled = decoded.labels != NO_LABEL
        result.labelled_scores.append(scored.scores[labelled])
        result.labels.append(decoded.labels[labelled])
    return result


def _values(files: Sequence[Path], fields: Sequence[str]) -> Iterator[bytes]:
    for path in files:
        if path.suffix.lower() == _CSV_SUFFIX:
            yield from (msgspec.json.encode(row.event) for row in read_rows(path, fields))
        else:
            yield from _lines(path)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    yield line.rstrip(b"\r\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
