"""The ledger: every record of the events topic against what was committed, alerted and dead-lettered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from detector.records import Partition, Record
from detector.service.scoring import Scorer

Place = tuple[int, int]
"""Partition and offset of a record on the events topic."""


@dataclass(frozen=True)
class Ledger:
    """What came of the events."""

    events: int
    scored: int
    dead_lettered: int
    alerts: int
    lost: int
    duplicates: int
    unexpected: int
    """Alerts or dead letters for records that should have none."""
    labels: npt.NDArray[np.int8]
    """Of the scored events that are labelled, `[n]`."""
    verdicts: npt.NDArray[np.bool_]
    """Of the same events, whether there is an alert."""

    @property
    def complete(self) -> bool:
        """Whether every event is accounted for, and nothing was written that should not have been."""
        return self.lost == 0 and self.unexpected == 0

    def line(self) -> str:
        """In one line."""
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
) -> Ledger:
    """Hold what was written against what the same model says of the same bytes.

    An event is accounted for when its position is committed and it has its alert if suspicious, its dead letter if it
    is no event, and neither otherwise. Anything less is lost.

    Args:
        events: every record of the events topic.
        alerts: every record of the alerts topic.
        dead_letters: every record of the dead-letter topic.
        committed: the group's positions on the events topic.
        scorer: the model that the service ran.
    """
    alerted = [_alert_source(record) for record in alerts]
    buried = [_dead_letter_source(record) for record in dead_letters]
    scored = scorer.score([record.value for record in events])
    decoded = scored.decoded
    places = [(record.partition, record.offset) for record in events]
    done = {
        place
        for place, record in zip(places, events, strict=True)
        if record.offset < committed.get(Partition(record.topic, record.partition), 0)
    }
    rejected = {places[reject.place] for reject in decoded.rejects}
    suspicious = {places[decoded.accepted[row]] for row in np.flatnonzero(scored.suspicious).tolist()}
    lost = (set(places) - done) | (suspicious - set(alerted)) | (rejected - set(buried))
    alerted_set = set(alerted)
    labelled = np.flatnonzero(decoded.labels >= 0)
    return Ledger(
        events=len(events),
        scored=len(done - rejected),
        dead_lettered=len(rejected & set(buried)),
        alerts=len(alerted_set),
        lost=len(lost),
        duplicates=len(alerted) - len(alerted_set) + len(buried) - len(set(buried)),
        unexpected=len(alerted_set - suspicious) + len(set(buried) - rejected),
        labels=decoded.labels[labelled],
        verdicts=np.array([places[decoded.accepted[row]] in alerted_set for row in labelled.tolist()], dtype=np.bool_),
    )


def alert_latencies_s(alerts: Sequence[Record]) -> npt.NDArray[np.float64]:
    """From an event record's timestamp to its alert's, `[n]` seconds."""
    return np.array([(record.timestamp - _source(record)["timestamp_ms"]) / 1000 for record in alerts])


def _source(alert: Record) -> dict[str, int]:
    source: dict[str, int] = msgspec.json.decode(alert.value or b"")["source"]
    return source


def _alert_source(alert: Record) -> Place:
    source = _source(alert)
    return source["partition"], source["offset"]


def _dead_letter_source(record: Record) -> Place:
    headers = dict(record.headers)
    return int(headers["source-partition"] or b""), int(headers["source-offset"] or b"")
