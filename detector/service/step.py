"""One batch, from its records to the outputs and the figures that go with them; nothing here waits."""

from dataclasses import dataclass
from time import time

import numpy as np

from detector.alerts.alert import AlertWriter, timestamp_text
from detector.alerts.dead_letter import dead_letter
from detector.alerts.severity import severity
from detector.events.decode import NO_LABEL, Decoded
from detector.events.second_opinion import Refused, host_name
from detector.metrics import LABELS, Metrics
from detector.records import OutgoingRecord, Record
from detector.service.limits import DeadLetterLimits
from detector.service.scoring import Scored, Scorer
from detector.settings import KafkaSettings
from detector.stream.interfaces import Batch

_LONGEST_HOST = 1_000
"""Four times what DNS permits; the alert has the name twice, and has to fit in what its topic permits."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A batch that was decided on: what is to be written, and what is to be counted once it is."""

    records: int
    scored: Scored
    outputs: list[OutgoingRecord]
    severities: list[str]
    alerted_timestamps_ms: list[int]
    limits_before: DeadLetterLimits


class BatchStep:
    """Decodes, scores and decides."""

    def __init__(self, kafka: KafkaSettings, scorer: Scorer, limits: DeadLetterLimits) -> None:
        self._kafka = kafka
        self._limits = limits
        self.use(scorer)

    def use(self, scorer: Scorer) -> None:
        """Score by this model from the next batch on."""
        self._scorer = scorer
        self._alerts = AlertWriter(self._kafka.alerts_topic, scorer.identity, scorer.threshold)

    def run(self, batch: Batch) -> Finished:
        """Decide on every record of a batch.

        Raises:
            DeadLetterLimitError: too many of them are no events.
        """
        records = batch.records
        scored = self._scorer.score(batch.values())
        decoded = scored.decoded
        before, self._limits = self._limits, self._limits.after(len(records), decoded.rejects)
        outputs = [
            dead_letter(self._kafka.dead_letter_topic, records[reject.place], reject.reason, reject.detail)
            for reject in decoded.rejects
        ]
        severities, timestamps, now = [], [], timestamp_text()
        rows = np.flatnonzero(scored.suspicious)
        for row, score in zip(rows.tolist(), scored.scores[rows].tolist(), strict=True):
            record, name = records[decoded.accepted[row]], severity(score, self._scorer.threshold)
            outputs.append(self._alerts.write(record, _alert_key(record), score, name, now))
            severities.append(name)
            timestamps.append(record.timestamp)
        return Finished(len(records), scored, outputs, severities, timestamps, before)

    def undo(self, finished: Finished) -> None:
        """Go back to before a batch: it, and whatever came behind it, will be read again."""
        self._limits = finished.limits_before


def count(finished: Finished, metrics: Metrics) -> None:
    """Count a batch, all figures of the ledger together; to be called once its outputs are acknowledged."""
    scored, decoded = finished.scored, finished.scored.decoded
    metrics.consumed.inc(finished.records)
    metrics.scored.inc(len(decoded.accepted))
    for reject in decoded.rejects:
        metrics.dead_lettered.labels(reject.reason).inc()
    for name in finished.severities:
        metrics.alerts.labels(name).inc()
    _count_labelled(decoded, scored, metrics)
    metrics.score.observe_all(scored.scores)
    metrics.batch_records.observe(finished.records)
    metrics.stage_duration.observe(scored.decode_s, "decode")
    metrics.stage_duration.observe(scored.score_s, "score")
    ages = time() - np.array([ms for ms in finished.alerted_timestamps_ms if ms >= 0], dtype=np.float64) / 1000
    metrics.event_to_alert.observe_all(ages.clip(min=0))  # a producer's clock may be ahead of ours


def _count_labelled(decoded: Decoded, scored: Scored, metrics: Metrics) -> None:
    labelled = decoded.labels != NO_LABEL
    pairs = decoded.labels[labelled] * 2 + scored.suspicious[labelled]
    for pair, total in enumerate(np.bincount(pairs, minlength=4).tolist()):
        if total:
            metrics.labelled.labels(LABELS[pair // 2], LABELS[pair % 2]).inc(total)


def _alert_key(record: Record) -> bytes | None:
    try:
        host = host_name(record.value or b"")
        return host.encode() if host and len(host) <= _LONGEST_HOST else record.key
    except (Refused, UnicodeEncodeError):  # nested to the very limit; a lone surrogate, which is JSON but no text
        return record.key
