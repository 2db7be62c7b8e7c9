"""What is logged about an outage: its start, one line a minute while it lasts, and its end."""

import pytest
from structlog.testing import capture_logs

from detector.alerts.severity import SEVERITIES
from detector.events.strict_decode import REASONS
from detector.metrics import Metrics
from detector.process import log_events
from detector.process.health import Health
from detector.records import OutgoingRecord, Partition
from detector.service.outage import ReasonLog
from detector.service.reporter import Reporter
from detector.settings import KafkaSettings
from detector.stream.interfaces import FailedRecord

KAFKA = KafkaSettings()
MINUTES = 5


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def reporter(health):
    """A reporter of a member with one partition."""
    metrics = Metrics(client="kafka-python", severities=SEVERITIES, dead_letter_reasons=REASONS)
    reporter = Reporter(KAFKA, metrics, health)
    reporter.rebalanced("assigned", [Partition(KAFKA.events_topic, 0)])
    return reporter


def reject_records(reporter):
    record = OutgoingRecord(KAFKA.alerts_topic, None, b"x", [])
    reporter.records_failed([FailedRecord(record, "NotEnoughReplicasError", is_fatal=False)] * 7)


OUTAGES = {
    "delivery": (Reporter.delivery_waiting, Reporter.delivery_recovered),
    "rejected records": (reject_records, Reporter.delivery_recovered),
    "aborted transactions": (
        lambda reporter: reporter.transaction_aborted("no coordinator"),
        lambda reporter: reporter.committed(0.1),
    ),
    "unresponsive brokers": (
        lambda reporter: reporter.check_brokers(11.0),
        lambda reporter: reporter.check_brokers(0.1),
    ),
}
"""What reports each kind of outage, and what reports its end."""
LASTED_BEFORE_S = {"unresponsive brokers": 11}
"""How long an outage had lasted when it was noticed."""
EVENTS = {
    "delivery": ("delivery_waiting", "delivery_still_waiting", "delivery_recovered"),
    "rejected records": ("records_rejected", "records_still_rejected", "records_accepted"),
    "aborted transactions": ("transaction_aborted", "transactions_still_aborted", "transactions_recovered"),
    "unresponsive brokers": ("brokers_not_responding", "brokers_still_not_responding", "brokers_recovered"),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_outage_is_logged_at_its_start_each_minute_and_at_its_end(reporter, clock, outage):
    """Otherwise an outage would fill the disk with log lines, or nobody would see it in the log."""
    report, recover = OUTAGES[outage]
    with capture_logs() as lines:
        for _ in range(MINUTES * 60 * 2):
            report(reporter)  # at each attempt
            reporter.log_reminders()
            clock[0] += 0.5
        recover(reporter)
        recover(reporter)

    start, reminder, end = EVENTS[outage]
    assert [line["event_name"] for line in lines] == [start, *[reminder] * (MINUTES - 1), end]
    assert [line["log_level"] for line in lines] == ["warning"] * MINUTES + ["info"]
    before = LASTED_BEFORE_S.get(outage, 0)
    waited = [round(line["waited_s"]) - before for line in lines[1:]]
    assert waited == [60, 120, 180, 240, pytest.approx(300, abs=1)]


def test_reason_is_in_every_reminder(reporter, clock):
    """Otherwise a user who looks an hour later would have to search for the first line of the outage."""
    with capture_logs() as lines:
        reject_records(reporter)
        clock[0] += 61
        reporter.log_reminders()

    assert [(line["topic"], line["records"], line["error"]) for line in lines] == [
        (KAFKA.alerts_topic, 7, "NotEnoughReplicasError")
    ] * 2


@pytest.mark.parametrize(
    ("outage", "reason"),
    [
        ("delivery", "waiting for acknowledgements from Kafka; reading is paused"),
        ("unresponsive brokers", "Kafka brokers are not responding"),
    ],
)
def test_readiness_fails_during_an_outage_with_its_reason(reporter, health, clock, outage, reason):
    """Otherwise an orchestrator could not see that nothing is processed, or that the outage is over."""
    report, recover = OUTAGES[outage]
    assert health.not_ready_reason is None

    report(reporter)
    report(reporter)
    assert health.not_ready_reason == reason

    recover(reporter)
    assert health.not_ready_reason is None


def test_reason_for_waiting_is_logged_at_once_when_it_changes_and_every_minute(clock):
    """Otherwise a night without Kafka would fill the log, or the log would still say what is no longer missing."""
    waiting = ReasonLog(log_events.WAITING_FOR_KAFKA)
    logged: dict[float, str] = {}
    for now in range(1000, 1129):
        clock[0] = now
        with capture_logs() as lines:
            waiting.note("brokers" if now < 1070 else "topics")
        logged |= {now: line["reason"] for line in lines}  # noqa: B035 - at most one line

    assert logged == {1000: "brokers", 1060: "brokers", 1070: "topics"}
