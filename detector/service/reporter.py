"""What the stream goes through, told to metrics, logs and readiness."""

import contextlib
import time
from collections import Counter
from collections.abc import Sequence

import structlog

from detector.metrics import Metrics
from detector.records import Partition
from detector.service.health import Health
from detector.settings import KafkaSettings
from detector.stream.interfaces import CommitError, RebalanceKind, Refusal

_log = structlog.get_logger("detector.stream")
_REMIND_S = 60.0
_SILENT_S = 10.0
"""The session's timeout: brokers that heard nothing for so long would have given the partitions to others."""


class _Outage:
    """Something that lasts: one line when it starts, one a minute, one when it ends."""

    def __init__(self, starts: str, lasts: str, ends: str) -> None:
        self._starts, self._lasts, self._ends = starts, lasts, ends
        self._since: float | None = None
        self._last_reminder = 0.0
        self._details: dict[str, object] = {}

    def __bool__(self) -> bool:
        return self._since is not None

    def goes_on(self, **details: object) -> None:
        """It is there, with these details; the line is written when it was not there before."""
        self._details = details
        if self._since is None:
            self._since = self._last_reminder = time.monotonic()
            _log.warning(self._starts, **details)

    def remind(self) -> None:
        now = time.monotonic()
        if self._since is not None and now - self._last_reminder >= _REMIND_S:
            self._last_reminder = now
            _log.warning(self._lasts, waited_s=round(now - self._since), **self._details)

    def end(self) -> None:
        """It is over; without one nothing happens."""
        if self._since is not None:
            _log.warning(self._ends, waited_s=round(time.monotonic() - self._since, 1))
            self._since = None


class Reporter:
    """Listens to the source and to delivery."""

    def __init__(self, kafka: KafkaSettings, metrics: Metrics, health: Health) -> None:
        self._topics = {kafka.alerts_topic: "alerts", kafka.dead_letter_topic: "dead_letter"}
        self._metrics = metrics
        self._health = health
        self._assigned: set[Partition] = set()
        self._waiting = _Outage(
            "delivery waits for acknowledgements; reading is paused",
            "delivery still waits; reading is paused",
            "delivery no longer waits; reading goes on",
        )
        self._refusals = _Outage(
            "records were refused; sending them again",
            "records are still refused; sending them again",
            "records are no longer refused",
        )
        self._aborts = _Outage(
            "transaction aborted; its batch is read again",
            "transactions are still aborted; their batch is read again",
            "transactions go through again",
        )
        self._silent_looks = 0
        self._silence = _Outage(
            "the brokers do not answer", "the brokers still do not answer", "the brokers answer again"
        )

    def rebalanced(self, kind: RebalanceKind, partitions: Sequence[Partition]) -> None:
        """See `Listener.rebalanced`."""
        if kind == "assigned":
            self._assigned |= set(partitions)
        else:
            self._assigned -= set(partitions)
            for partition in partitions:
                self._forget_lag(partition)
        self._metrics.rebalances.labels(kind).inc()
        self._metrics.assigned_partitions.set(len(self._assigned))
        self._update_readiness()
        _log.info(f"partitions {kind}", partitions=_names(partitions), now_assigned=len(self._assigned))

    def offsets_reset(self, partition: Partition, gone: int, resumed_at: str) -> None:
        """See `Listener.offsets_reset`."""
        self._metrics.offset_resets.inc()
        _log.error(
            "committed position is gone; records before the new one were not read",
            partition=f"{partition.topic}/{partition.partition}",
            gone_offset=gone,
            resumed_at=resumed_at,
        )

    def delivery_waits(self) -> None:
        """See `DeliveryObserver.delivery_waits`."""
        self._waiting.goes_on()
        self._metrics.paused.set(1)
        self._update_readiness()

    def still_waiting(self) -> None:
        """Say once a minute what still lasts."""
        for outage in (self._waiting, self._refusals, self._aborts, self._silence):
            outage.remind()

    def delivery_resumed(self) -> None:
        """See `DeliveryObserver.delivery_resumed`."""
        self._waiting.end()
        self._refusals.end()
        self._metrics.paused.set(0)
        self._update_readiness()

    def silence(self, silent_s: float) -> None:
        """Hear how long the brokers have answered nothing; say when that becomes too long, and when it ends."""
        # Twice in a row: a process that slept, or looked after a delivery, may not have listened itself.
        self._silent_looks = self._silent_looks + 1 if silent_s > _SILENT_S else 0
        silent = self._silent_looks > 1
        if silent != self.brokers_are_silent:
            (self._silence.goes_on if silent else self._silence.end)()
            self._update_readiness()

    @property
    def brokers_are_silent(self) -> bool:
        """Whether they have answered nothing for too long."""
        return bool(self._silence)

    def delivery_refused(self, refusals: Sequence[Refusal]) -> None:
        """See `DeliveryObserver.delivery_refused`."""
        for (topic, error), number in Counter((r.record.topic, r.error) for r in refusals).items():
            self._metrics.delivery_failures.labels(self._topics[topic]).inc(number)
            self._refusals.goes_on(topic=topic, records=number, error=error)

    def transaction_aborted(self, reason: str) -> None:
        """See `DeliveryObserver.transaction_aborted`."""
        self._metrics.commit_failures.inc()
        self._aborts.goes_on(reason=reason)

    def committed(self, seconds: float) -> None:
        """See `DeliveryObserver.committed`."""
        self._aborts.end()
        self._metrics.commits.inc()
        self._metrics.stage_duration.observe(seconds, "commit")

    def commit_failed(self, error: CommitError) -> None:
        """See `DeliveryObserver.commit_failed`."""
        self._metrics.commit_failures.inc()
        _log.warning("commit failed; the next one makes up for it", error=str(error))

    def lag(self, lags: dict[Partition, int]) -> None:
        """Show the lag of each partition."""
        for partition, records in lags.items():
            self._metrics.lag.labels(partition.partition).set(records)

    def _forget_lag(self, partition: Partition) -> None:
        with contextlib.suppress(KeyError):  # it may have gone before its lag was known
            self._metrics.lag.remove(str(partition.partition))

    def _update_readiness(self) -> None:
        if self._waiting:
            self._health.not_ready_because = "delivery waits for acknowledgements"
        elif self._silence:
            self._health.not_ready_because = "the brokers do not answer"
        elif not self._assigned:
            self._health.not_ready_because = "no partitions are assigned"
        else:
            self._health.not_ready_because = None


def _names(partitions: Sequence[Partition]) -> list[int]:
    return sorted(partition.partition for partition in partitions)
