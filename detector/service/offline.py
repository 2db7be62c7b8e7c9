"""Scores files with the daemon's own decoder and model."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from detector.errors import DetectorError
from detector.events.inputs import shown_name
from detector.events.rows import Row, read_rows
from detector.events.source import NO_LABEL
from detector.output_file import replaced_file
from detector.service.scoring import Scorer, Scores

_BATCH_ROWS = 2000


@dataclass
class NotScored:
    """The rows that are no valid events for one reason: their number, and where and why for the first of them."""

    place: str
    detail: str
    rows: int = 0


@dataclass
class OfflineScores:
    """The results of the files."""

    rows: int = 0
    scored: int = 0
    suspicious: int = 0
    not_scored: dict[str, NotScored] = field(default_factory=dict)
    """By reason."""
    labelled_scores: list[npt.NDArray[np.float64]] = field(default_factory=list)
    labels: list[npt.NDArray[np.int8]] = field(default_factory=list)

    def labelled(self) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
        """Labels and scores, `[n]` each, of the labelled events."""
        return np.concatenate(self.labels), np.concatenate(self.labelled_scores)

    def add(self, rows: Sequence[Row], scores: Scores) -> None:
        """Add a batch."""
        self.rows += len(rows)
        self.scored += len(scores.decoded.accepted)
        self.suspicious += int(scores.suspicious.sum())
        for invalid in scores.decoded.invalid:
            first = NotScored(rows[invalid.row].place, invalid.detail)
            self.not_scored.setdefault(invalid.reason, first).rows += 1
        labelled = scores.decoded.labels != NO_LABEL
        self.labelled_scores.append(scores.scores[labelled])
        self.labels.append(scores.decoded.labels[labelled])


def reasons(not_scored: Mapping[str, NotScored]) -> Iterator[str]:
    """A phrase for each reason why rows were not scored, with the first of them; the most frequent reason first."""
    for reason, found in sorted(not_scored.items(), key=lambda item: -item[1].rows):
        yield f"{found.rows} rows, {reason}, first at {found.place}: {found.detail}"


def write_scores(files: Sequence[Path], scorer: Scorer, output: Path, other_inputs: Sequence[Path]) -> OfflineScores:
    """Score files into a CSV file, which is replaced only if this succeeds.

    Args:
        files: as for `score_files`.
        scorer: the model.
        output: the CSV file.
        other_inputs: files that were read before, such as the model's: they are no outputs either.

    Raises:
        UsageError: a file cannot be read or written, or the output is an input.
        DetectorError: not one row could be scored.
    """
    with replaced_file(output, [*files, *other_inputs]) as stream:
        return score_files(files, scorer, stream)


def score_files(files: Sequence[Path], scorer: Scorer, output: TextIO | None) -> OfflineScores:
    """Score every row of the files, in order.

    Args:
        files: as for `detector.events.rows.read_rows`.
        scorer: the model.
        output: gets a line `row,score,suspicious` for each event, and none for an invalid row; rows are counted from
            0 over all files.

    Raises:
        UsageError: a file cannot be read.
        DetectorError: not one row could be scored.
    """
    result = OfflineScores()
    writer = csv.writer(output, lineterminator="\n") if output else None
    if writer:
        writer.writerow(["row", "score", "suspicious"])
    rows = chain.from_iterable(read_rows(path, scorer.fields) for path in files)
    while batch := list(islice(rows, _BATCH_ROWS)):
        scores = scorer.score([row.value for row in batch])
        if writer:
            writer.writerows(_lines(result.rows, scores))
        result.add(batch, scores)
    if not result.scored:
        names = ", ".join(map(shown_name, files))
        raise DetectorError(f"{names}: no event could be scored: {'; '.join(reasons(result.not_scored)) or 'no rows'}")
    return result


def _lines(first_row: int, scores: Scores) -> Iterator[tuple[Any, ...]]:
    numbers = (first_row + index for index in scores.decoded.accepted)
    # repr of a float is the shortest text that reads back as the same float
    return zip(numbers, map(repr, scores.scores.tolist()), scores.suspicious.astype(int), strict=True)
