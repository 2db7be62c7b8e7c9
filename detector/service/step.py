"""Processes one batch: decodes and scores its records, and makes its alerts and dead letters. Nothing here waits."""

from dataclasses import dataclass
from time import time

import numpy as np

from detector.alerts.alert import Alert, timestamp_text
from detector.alerts.dead_letter import dead_letter
from detector.alerts.formats import ALERT_FORMATS
from detector.alerts.severity import severity
from detector.events.decode import DecodedBatch
from detector.events.source import NO_LABEL
from detector.events.strict_decode import InvalidEventError, host_name
from detector.metrics import LABELS, Metrics
from detector.records import OutgoingRecord, Record
from detector.service.causes import Cause, cause_of
from detector.service.limits import DeadLetterLimits
from detector.service.scoring import Scorer, Scores
from detector.settings import KafkaSettings
from detector.stream.interfaces import Batch

_ALERT_FORMAT = "detector"
_MAX_HOST_CHARS = 1_000
"""Four times the limit of DNS. An alert contains the name twice, and must fit in its topic's largest record."""


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """A batch with its outputs, and what to count once they are acknowledged."""

    records: int
    scores: Scores
    outputs: list[OutgoingRecord]
    causes: list[Cause]
    """Of its dead letters."""
    severities: list[str]
    alerted_timestamps_ms: list[int]
    limits_before: DeadLetterLimits


class BatchStep:
    """Decodes and scores batches, and makes alerts and dead letters."""

    def __init__(self, kafka: KafkaSettings, scorer: Scorer, limits: DeadLetterLimits) -> None:
        self._kafka = kafka
        self._limits = limits
        self.use_scorer(scorer)

    def use_scorer(self, scorer: Scorer) -> None:
        """Use this model from the next batch on."""
        self._scorer = scorer
        self._encode_alert = ALERT_FORMATS[_ALERT_FORMAT](self._kafka.alerts_topic, scorer.identity, scorer.threshold)

    def run(self, batch: Batch) -> ScoredBatch:
        """Process every record of a batch.

        Raises:
            DeadLetterLimitError: too many of its records are invalid.
        """
        records = batch.records
        scores = self._scorer.score(batch.values())
        decoded = scores.decoded
        causes = [cause_of(invalid, records[invalid.row]) for invalid in decoded.invalid]
        limits_before, self._limits = self._limits, self._limits.after(len(records), causes)
        outputs = [
            dead_letter(self._kafka.dead_letter_topic, records[invalid.row], invalid.reason, invalid.detail)
            for invalid in decoded.invalid
        ]
        severities, timestamps, now = [], [], timestamp_text()
        rows = np.flatnonzero(scores.suspicious)
        for row, score in zip(rows.tolist(), scores.scores[rows].tolist(), strict=True):
            record, name = records[decoded.accepted[row]], severity(score, self._scorer.threshold)
            outputs.append(self._encode_alert(Alert(record, _alert_key(record), score, name, now)))
            severities.append(name)
            timestamps.append(record.timestamp)
        return ScoredBatch(len(records), scores, outputs, causes, severities, timestamps, limits_before)

    def undo(self, batch: ScoredBatch) -> None:
        """Restore the state before a batch, because it and the following batches will be read again."""
        self._limits = batch.limits_before


def count(batch: ScoredBatch, metrics: Metrics) -> None:
    """Update all metrics of a batch together; to be called once its outputs are acknowledged."""
    scores, decoded = batch.scores, batch.scores.decoded
    metrics.consumed.inc(batch.records)
    metrics.scored.inc(len(decoded.accepted))
    for invalid in decoded.invalid:
        metrics.dead_lettered.labels(invalid.reason).inc()
    for name in batch.severities:
        metrics.alerts.labels(name).inc()
    _count_labelled(decoded, scores, metrics)
    metrics.score.observe_all(scores.scores)
    metrics.batch_records.observe(batch.records)
    metrics.stage_duration.observe(scores.decode_s, "decode")
    metrics.stage_duration.observe(scores.score_s, "score")
    ages = time() - np.array([ms for ms in batch.alerted_timestamps_ms if ms >= 0], dtype=np.float64) / 1000
    metrics.event_to_alert.observe_all(ages.clip(min=0))  # a producer's clock may be ahead of this host's


def _count_labelled(decoded: DecodedBatch, scores: Scores, metrics: Metrics) -> None:
    labelled = decoded.labels != NO_LABEL
    pairs = decoded.labels[labelled] * 2 + scores.suspicious[labelled]
    for pair, total in enumerate(np.bincount(pairs, minlength=4).tolist()):
        if total:
            metrics.labelled.labels(LABELS[pair // 2], LABELS[pair % 2]).inc(total)


def _alert_key(record: Record) -> bytes | None:
    try:
        host = host_name(record.value or b"")
        return host.encode() if host and len(host) <= _MAX_HOST_CHARS else record.key
    except (InvalidEventError, UnicodeEncodeError):  # nested too deeply; a lone surrogate, which has no UTF-8 form
        return record.key
