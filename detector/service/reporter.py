"""Reports what happens to the stream as metrics, log lines and readiness."""

import contextlib
from collections import Counter
from collections.abc import Sequence

from detector.metrics import Metrics
from detector.process import log_events
from detector.process.health import Health
from detector.records import Partition
from detector.service.outage import Outage
from detector.settings import KafkaSettings
from detector.stream.interfaces import CommitError, FailedRecord, RebalanceKind

_NOT_RESPONDING_S = 10.0
"""The session timeout: without a heartbeat for so long, the group reassigns the partitions."""
_REBALANCED = {
    "assigned": log_events.PARTITIONS_ASSIGNED,
    "revoked": log_events.PARTITIONS_REVOKED,
    "lost": log_events.PARTITIONS_LOST,
}


class Reporter:
    """Listens to the source and to the delivery, and reports to people and machines."""

    def __init__(self, kafka: KafkaSettings, metrics: Metrics, health: Health) -> None:
        self._topics = {kafka.alerts_topic: "alerts", kafka.dead_letter_topic: "dead_letter"}
        self._bootstrap_servers = kafka.bootstrap_servers
        self._metrics = metrics
        self._health = health
        self._assigned: set[Partition] = set()
        self._waiting = Outage(
            log_events.DELIVERY_WAITING, log_events.DELIVERY_STILL_WAITING, log_events.DELIVERY_RECOVERED
        )
        self._rejected_records = Outage(
            log_events.RECORDS_REJECTED, log_events.RECORDS_STILL_REJECTED, log_events.RECORDS_ACCEPTED
        )
        self._aborted_transactions = Outage(
            log_events.TRANSACTION_ABORTED, log_events.TRANSACTIONS_STILL_ABORTED, log_events.TRANSACTIONS_RECOVERED
        )
        self._unresponsive_brokers = Outage(
            log_events.BROKERS_NOT_RESPONDING, log_events.BROKERS_STILL_NOT_RESPONDING, log_events.BROKERS_RECOVERED
        )
        self._late_checks = 0

    def rebalanced(self, kind: RebalanceKind, partitions: Sequence[Partition]) -> None:
        """See `SourceListener.rebalanced`."""
        if kind == "assigned":
            self._assigned |= set(partitions)
        else:
            self._assigned -= set(partitions)
            for partition in partitions:
                self._remove_lag(partition)
        self._metrics.rebalances.labels(kind).inc()
        self._metrics.assigned_partitions.set(len(self._assigned))
        self._update_readiness()
        numbers = sorted(partition.partition for partition in partitions)
        _REBALANCED[kind].log(partitions=numbers, now_assigned=len(self._assigned))

    def offset_reset(self, partition: Partition, missing_offset: int, resumed_at: str) -> None:
        """See `SourceListener.offset_reset`."""
        self._metrics.offset_resets.inc()
        log_events.COMMITTED_OFFSET_MISSING.log(
            partition=f"{partition.topic}/{partition.partition}", missing_offset=missing_offset, resumed_at=resumed_at
        )

    def delivery_waiting(self) -> None:
        """See `DeliveryObserver.delivery_waiting`."""
        self._waiting.report()
        self._metrics.paused.set(1)
        self._update_readiness()

    def log_reminders(self) -> None:
        """Log each outage that continues, once a minute."""
        for outage in (self._waiting, self._rejected_records, self._aborted_transactions, self._unresponsive_brokers):
            outage.remind()

    def delivery_recovered(self) -> None:
        """See `DeliveryObserver.delivery_recovered`."""
        self._waiting.end()
        self._rejected_records.end()
        self._metrics.paused.set(0)
        self._update_readiness()

    def check_brokers(self, since_response_s: float) -> None:
        """Report when brokers stop responding, and when they respond again.

        Args:
            since_response_s: seconds since a broker last responded.
        """
        # Two late checks in a row are required: this process may have been suspended, or busy with a long delivery.
        self._late_checks = self._late_checks + 1 if since_response_s > _NOT_RESPONDING_S else 0
        not_responding = self._late_checks > 1
        if not_responding != self.brokers_not_responding:
            if not_responding:
                self._unresponsive_brokers.report(lasted_s=since_response_s, bootstrap_servers=self._bootstrap_servers)
            else:
                self._unresponsive_brokers.end()
            self._update_readiness()

    @property
    def brokers_not_responding(self) -> bool:
        """Whether no broker has responded for too long."""
        return bool(self._unresponsive_brokers)

    def records_failed(self, failed: Sequence[FailedRecord]) -> None:
        """See `DeliveryObserver.records_failed`."""
        for (topic, error), number in Counter((f.record.topic, f.error) for f in failed).items():
            self._metrics.delivery_failures.labels(self._topics[topic]).inc(number)
            self._rejected_records.report(topic=topic, records=number, error=error)

    def transaction_aborted(self, reason: str) -> None:
        """See `DeliveryObserver.transaction_aborted`."""
        self._metrics.commit_failures.inc()
        self._aborted_transactions.report(reason=reason)

    def committed(self, seconds: float) -> None:
        """See `DeliveryObserver.committed`."""
        self._aborted_transactions.end()
        self._metrics.commits.inc()
        self._metrics.stage_duration.observe(seconds, "commit")

    def commit_failed(self, error: CommitError) -> None:
        """See `DeliveryObserver.commit_failed`."""
        self._metrics.commit_failures.inc()
        log_events.OFFSET_COMMIT_FAILED.log(error=str(error))

    def export_lag(self, lags: dict[Partition, int]) -> None:
        """Export the lag of each partition, in records."""
        for partition, records in lags.items():
            self._metrics.lag.labels(partition.partition).set(records)

    def _remove_lag(self, partition: Partition) -> None:
        with contextlib.suppress(KeyError):  # a partition may be revoked before its lag is known
            self._metrics.lag.remove(str(partition.partition))

    def _update_readiness(self) -> None:
        if self._waiting:
            self._health.not_ready_reason = "waiting for acknowledgements from Kafka; reading is paused"
        elif self._unresponsive_brokers:
            self._health.not_ready_reason = "Kafka brokers are not responding"
        elif not self._assigned:
            self._health.not_ready_reason = "no partitions assigned"
        else:
            self._health.not_ready_reason = None
