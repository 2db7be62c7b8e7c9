"""Daemons that are killed, frozen, started and stopped: no event is lost, and exactly-once has no duplicates."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import NewPartitions

from detector.settings import KafkaSettings
from detector.stream.admin.topics import create_topics
from tests.faults.soak import DAEMON_KILLS
from tests.helpers import wait_until

SESSION_TIMEOUT_S = 10.0
ALL_PARTITIONS = set(range(4))


@contextmanager
def admin_client(kafka: KafkaSettings) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    try:
        yield admin
    finally:
        admin.close()


@pytest.mark.both_clients
@pytest.mark.timeout(3600)
def test_killed_at_random_moments(deployment, assert_accounted_for):
    """Otherwise a crash at some moment, for example during a commit, would cost events."""
    moments = random.Random(0)  # noqa: S311 - moments, not secrets
    assigned_s = []
    with deployment.load(rate=1000):
        daemon = deployment.start_ready("--set", "kafka.instance_id=one")
        for _ in range(DAEMON_KILLS // 2):
            time.sleep(moments.uniform(0.0, 1.0))  # the random moment of the kill
            assert daemon.process.poll() is None  # it has not exited by itself
            daemon.process.kill()
            daemon.process.wait()
            killed = time.monotonic()
            daemon = deployment.start("--set", "kafka.instance_id=one")
            daemon.wait_for_log("partitions_assigned")
            assigned_s.append(time.monotonic() - killed)
        recovery_s = deployment.first_new_alert_s(killed)

    low, high = min(assigned_s), max(assigned_s)
    fault = f"{DAEMON_KILLS // 2} SIGKILLs, assigned again after {low:.1f} to {high:.1f} s, and after the last"
    assert_accounted_for(deployment, fault, recovery_s)


def test_another_takes_over_from_the_killed(deployment, assert_accounted_for):
    """Otherwise nobody would read the partitions of a killed instance that has no static membership."""
    with deployment.load(rate=500):
        one, two = deployment.start_ready(), deployment.start_ready()
        wait_until(lambda: two.metric("detector_assigned_partitions") == 2, "two partitions each")
        moved = ALL_PARTITIONS - set(two.logged("partitions_assigned")["partitions"])
        one.process.kill()
        killed = time.monotonic()
        wait_until(lambda: two.metric("detector_assigned_partitions") == 4, "the partitions of the killed one")
        taken_over = time.monotonic()
        before = deployment.alerts(moved)
        first_s = deployment.first_new_alert_s(killed)
        wait_until(lambda: deployment.alerts(moved) > before, "an alert from the partitions that moved")
        recovered = time.monotonic()

    fault = f"one of two killed, its partitions moved after {taken_over - killed:.1f} s"
    assert_accounted_for(deployment, fault, recovered - killed)
    assert first_s <= SESSION_TIMEOUT_S + 15
    assert recovered - taken_over <= 15


def test_stopped_beyond_the_session_timeout_and_resumed(deployment, assert_accounted_for):
    """Otherwise an instance that was suspended would commit a batch whose partitions belong to another by now."""
    with deployment.load(rate=500):
        suspended = deployment.start_ready()
        suspended.process.send_signal(signal.SIGSTOP)
        other = deployment.start()
        wait_until(
            lambda: other.logged("partitions_assigned") and other.metric("detector_assigned_partitions") == 4,
            "all partitions at the other one",
        )
        deployment.write(1000)
        suspended.process.send_signal(signal.SIGCONT)
        recovery_s = deployment.first_new_alert_s(time.monotonic())
        wait_until(lambda: suspended.metric("detector_assigned_partitions") == 2, "its share after it was resumed")

    assert_accounted_for(deployment, "suspended beyond the session timeout, and resumed", recovery_s)
    # The other one gives up exactly the partitions that move: the rest is read without a pause.
    assert len(other.wait_for_log("partitions_revoked")["partitions"]) == 2


def test_instances_join_and_leave_under_load(deployment, assert_accounted_for):
    """Otherwise a rolling restart would cost events."""
    with deployment.load(rate=1000):
        *leaving, last = [deployment.start_ready() for _ in range(3)]
        for daemon in leaving:
            assert daemon.stop(signal.SIGTERM) == 0
        recovery_s = deployment.first_new_alert_s(time.monotonic())
        wait_until(lambda: last.metric("detector_assigned_partitions") == 4, "all partitions at the last one")

    assert_accounted_for(deployment, "two of three left", recovery_s)


def test_more_partitions_are_read(deployment, assert_accounted_for):
    """Otherwise the events in partitions that are added to a topic would be lost, or need a restart of the service."""
    daemon = deployment.start_ready()
    with admin_client(deployment.kafka) as admin:
        admin.create_partitions({deployment.kafka.events_topic: NewPartitions(6)})
    grown = time.monotonic()
    deployment.write(600)
    recovery_s = deployment.first_new_alert_s(grown, before=0)
    wait_until(lambda: daemon.metric("detector_assigned_partitions") == 6, "the new partitions", timeout_s=90)

    assert_accounted_for(deployment, "two partitions more", recovery_s)
    assert deployment.alerts({4, 5}) > 0


def test_retention_passes_the_committed_offset(deployment, guarantee, client):
    """Otherwise nobody would learn that retention deleted unread records, or the remaining ones would be lost too."""
    kafka = deployment.kafka
    daemon = deployment.start_ready()
    deployment.write(400)
    deployment.wait_until_committed()
    daemon.stop(signal.SIGTERM)
    deployment.write(400)
    with admin_client(kafka) as admin:
        admin.delete_records({TopicPartition(kafka.events_topic, number): 150 for number in ALL_PARTITIONS})
    daemon = deployment.start_ready()
    wait_until(lambda: daemon.metric("detector_offset_resets_total") > 0, "the reset")
    before, reset = deployment.alerts(), time.monotonic()
    deployment.write(100)
    recovery_s = deployment.first_new_alert_s(reset, before)

    result = deployment.reconcile()
    print(
        f"\n{client}, {guarantee}: retention passed the committed offset: of the remaining records lost {result.lost}, "
        f"duplicates {result.duplicates}; first new alert after {recovery_s:.1f} s"
    )
    assert result.lost == 0
    assert guarantee == "at-least-once" or result.duplicates == 0
    line = daemon.logged("committed_offset_missing")
    assert (line["severity_text"], line["resumed_at"]) == ("ERROR", "earliest")


def test_deleted_alerts_topic_is_waited_for(deployment, assert_accounted_for, kafka):
    """Otherwise alerts would be lost until somebody creates the deleted topic again."""
    daemon = deployment.start_ready()
    with admin_client(kafka) as admin:
        admin.delete_topics([kafka.alerts_topic])
    deployment.write(300)
    daemon.wait_for_log("delivery_waiting")
    create_topics(kafka, 4)
    recovery_s = deployment.first_new_alert_s(time.monotonic(), before=0)

    assert_accounted_for(deployment, "the alerts topic deleted, and created again", recovery_s)
