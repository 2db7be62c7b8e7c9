"""What is said of an outage: when it starts, once a minute while it lasts, and when it ends."""

import pytest
from structlog.testing import capture_logs

from detector.alerts.severity import SEVERITIES
from detector.events.second_opinion import REASONS
from detector.metrics import Metrics
from detector.records import OutgoingRecord, Partition
from detector.service.health import Health
from detector.service.reporter import Reporter
from detector.settings import KafkaSettings
from detector.stream.interfaces import Refusal

KAFKA = KafkaSettings()
MINUTES = 5


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def reporter():
    opened = Reporter(KAFKA, Metrics(client="kafka-python", severities=SEVERITIES, reject_reasons=REASONS), Health())
    opened.rebalanced("assigned", [Partition(KAFKA.events_topic, 0)])
    return opened


def refused(reporter):
    record = OutgoingRecord(KAFKA.alerts_topic, None, b"x", [])
    reporter.delivery_refused([Refusal(record, "NotEnoughReplicasError", final=False)] * 7)


OUTAGES = {
    "delivery": (Reporter.delivery_waits, Reporter.delivery_resumed),
    "refusals": (refused, Reporter.delivery_resumed),
    "aborts": (lambda reporter: reporter.transaction_aborted("no coordinator"), lambda r: r.committed(0.1)),
    "silence": (lambda reporter: reporter.silence(11.0), lambda reporter: reporter.silence(0.1)),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_outage_is_a_line_when_it_starts_one_a_minute_and_one_when_it_ends(reporter, clock, outage):
    """A log that fills the disk during an outage is another outage; one that says nothing leaves people guessing."""
    goes_on, ends = OUTAGES[outage]
    with capture_logs() as lines:
        for _ in range(MINUTES * 60 * 2):
            goes_on(reporter)  # at each attempt
            reporter.still_waiting()
            clock[0] += 0.5
        during = len(lines)
        ends(reporter)
        ends(reporter)

    assert during == MINUTES  # the first, and one at the end of each minute but the last
    assert len({line["event"] for line in lines}) == 3
    assert len(lines) == during + 1
    assert [round(line["waited_s"]) for line in lines[1:]] == [60, 120, 180, 240, pytest.approx(300, abs=1)]


def test_reason_is_with_every_reminder(reporter, clock):
    """Whoever looks an hour later does not have to look for the beginning."""
    with capture_logs() as lines:
        refused(reporter)
        clock[0] += 61
        reporter.still_waiting()

    assert [(line["topic"], line["records"], line["error"]) for line in lines] == [
        (KAFKA.alerts_topic, 7, "NotEnoughReplicasError")
    ] * 2


def test_readiness_follows(clock):
    """Not ready while nothing is delivered, and while the brokers are silent; ready again behind it."""
    health = Health()
    reporter = Reporter(KAFKA, Metrics(client="kafka-python", severities=SEVERITIES, reject_reasons=REASONS), health)
    reporter.rebalanced("assigned", [Partition(KAFKA.events_topic, 0)])
    seen = []
    for goes_on, ends in (OUTAGES["delivery"], OUTAGES["silence"]):
        for step in (goes_on, goes_on, ends):
            step(reporter)
        seen.append(health.not_ready_because)
    reporter.delivery_waits()

    assert seen == [None, None]
    assert health.not_ready_because == "delivery waits for acknowledgements"
