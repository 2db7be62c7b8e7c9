"""Waits for the daemon, and compares its outputs with the offline scores."""

from collections.abc import Mapping

from detector.local.reconciliation import Reconciliation, reconcile
from detector.records import Partition
from detector.service.scoring import Scorer
from detector.settings import KafkaSettings
from detector.stream.admin.topics import read_topic
from tests.helpers import group_progress, wait_until


def wait_until_committed(kafka: KafkaSettings, timeout_s: float = 60) -> Mapping[Partition, int]:
    """Wait until the group has committed every record of the events topic; returns the committed offsets."""
    with group_progress(kafka) as progress:
        wait_until(lambda: progress.lag() == 0, "the commit of the last event", timeout_s)
        return progress.committed()


def reconciliation_of(kafka: KafkaSettings, scorer: Scorer) -> Reconciliation:
    """The reconciliation of a test's topics, after every event is committed."""
    committed = wait_until_committed(kafka)
    topics = kafka.events_topic, kafka.alerts_topic, kafka.dead_letter_topic
    events, alerts, dead_letters = (read_topic(kafka, topic) for topic in topics)
    return reconcile(events, alerts, dead_letters, committed, scorer)
