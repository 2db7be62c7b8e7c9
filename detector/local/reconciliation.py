"""Reconciliation: checks that every event was scored or dead-lettered, and that every alert was written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from detector.records import Partition, Record
from detector.service.scoring import Scorer

Source = tuple[int, int]
"""Partition and offset of a record on the events topic."""


@dataclass(frozen=True)
class Reconciliation:
    """The result of a reconciliation."""

    events: int
    scored: int
    dead_lettered: int
    alerts: int
    lost: int
    duplicates: int
    unexpected: int
    """Alerts or dead letters for records that should have none."""
    labels: npt.NDArray[np.int8]
    """`[n]`, of the labelled events."""
    alerted: npt.NDArray[np.bool_]
    """`[n]`: whether the same events have an alert."""

    @property
    def complete(self) -> bool:
        """Whether every event is accounted for, and no output is unexpected."""
        return self.lost == 0 and self.unexpected == 0

    def line(self) -> str:
        """One line; the contract has its form."""
        return (
            f"events {self.events}, scored {self.scored}, dead-lettered {self.dead_lettered}, "
            f"alerts {self.alerts}, lost {self.lost}"
        )


def reconcile(
    events: Sequence[Record],
    alerts: Sequence[Record],
    dead_letters: Sequence[Record],
    committed: Mapping[Partition, int],
    scorer: Scorer,
) -> Reconciliation:
    """Score all events with the same model, and compare the expected outputs with the written ones.

    An event is lost when its offset is not committed, when it is suspicious but has no alert, or when it is invalid but
    has no dead letter.

    Args:
        events: every record of the events topic.
        alerts: every record of the alerts topic.
        dead_letters: every record of the dead-letter topic.
        committed: the group's offsets on the events topic.
        scorer: the model that the service used.
    """
    alert_sources = [_alert_source(record) for record in alerts]
    letter_sources = [_dead_letter_source(record) for record in dead_letters]
    scores = scorer.score([record.value for record in events])
    decoded = scores.decoded
    sources = [(record.partition, record.offset) for record in events]
    done = {
        source
        for source, record in zip(sources, events, strict=True)
        if record.offset < committed.get(Partition(record.topic, record.partition), 0)
    }
    invalid = {sources[record.row] for record in decoded.invalid}
    suspicious = {sources[decoded.accepted[row]] for row in np.flatnonzero(scores.suspicious).tolist()}
    alerted, dead_lettered = set(alert_sources), set(letter_sources)
    lost = (set(sources) - done) | (suspicious - alerted) | (invalid - dead_lettered)
    labelled = np.flatnonzero(decoded.labels >= 0)
    return Reconciliation(
        events=len(events),
        scored=len(done - invalid),
        dead_lettered=len(invalid & dead_lettered),
        alerts=len(alerted),
        lost=len(lost),
        duplicates=len(alert_sources) - len(alerted) + len(letter_sources) - len(dead_lettered),
        unexpected=len(alerted - suspicious) + len(dead_lettered - invalid),
        labels=decoded.labels[labelled],
        alerted=np.array([sources[decoded.accepted[row]] in alerted for row in labelled.tolist()], dtype=np.bool_),
    )


def alert_latencies_s(alerts: Sequence[Record]) -> npt.NDArray[np.float64]:
    """Seconds from an event record's timestamp to its alert's, `[n]`."""
    return np.array([(record.timestamp - _source(record)["timestamp_ms"]) / 1000 for record in alerts])


def _source(alert: Record) -> dict[str, int]:
    source: dict[str, int] = msgspec.json.decode(alert.value or b"")["source"]
    return source


def _alert_source(alert: Record) -> Source:
    source = _source(alert)
    return source["partition"], source["offset"]


def _dead_letter_source(record: Record) -> Source:
    headers = dict(record.headers)
    return int(headers["source-partition"] or b""), int(headers["source-offset"] or b"")
