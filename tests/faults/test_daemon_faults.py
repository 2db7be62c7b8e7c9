"""Daemons that are killed, frozen, joined and left: nothing is lost, and nothing doubled where that is promised."""

import os
import random
import signal
import time

import pytest

from detector.local.topics import create_topics
from tests.faults.scene import first_new_alert_s
from tests.helpers import wait_until

KILLS = int(os.environ.get("DETECTOR_SOAK_KILLS", "20"))
SESSION_TIMEOUT_S = 10.0


@pytest.mark.both_clients
@pytest.mark.timeout(3600)
def test_killed_at_random_moments(scene, conclude):
    """SIGKILL asks nobody: between any two lines of the loop, and in the middle of a commit."""
    moments = random.Random(0)  # noqa: S311 - moments, not secrets
    back = []
    with scene.flow(rate=1000):
        daemon = scene.start_ready("--set", "kafka.instance_id=one")
        for _ in range(KILLS // 2):
            time.sleep(moments.uniform(0.0, 1.0))  # the fault's own moment, not a wait for anything
            assert daemon.process.poll() is None  # it dies of the kill, and of nothing else
            daemon.process.kill()
            daemon.process.wait()
            killed = time.monotonic()
            daemon = scene.start("--set", "kafka.instance_id=one")
            daemon.wait_for_log("partitions assigned")
            back.append(time.monotonic() - killed)
        back_s = first_new_alert_s(scene, killed)

    fault = f"{KILLS // 2} SIGKILLs, assigned again after {min(back):.1f} to {max(back):.1f} s, and after the last"
    conclude(scene, fault, back_s)


def test_another_takes_over_from_the_killed(scene, conclude):
    """Without a fixed identity: after the session timeout the partitions are another instance's, alerts go on.

    An open transaction of the killed one hides what comes behind it, until the brokers end it.
    """
    with scene.flow(rate=500):
        one, two = scene.start_ready(), scene.start_ready()
        wait_until(lambda: two.metric("detector_assigned_partitions") == 2, "two partitions each")
        assigned = two.logged("partitions assigned")["partitions"]
        moved = set(range(4)) - set(assigned)
        one.process.kill()
        killed = time.monotonic()
        wait_until(lambda: two.metric("detector_assigned_partitions") == 4, "the partitions of the killed one")
        taken_over = time.monotonic()
        before = scene.alerts(moved)
        first_s = first_new_alert_s(scene, killed)
        wait_until(lambda: scene.alerts(moved) > before, "an alert from the partitions that moved")
        back = time.monotonic()

    conclude(scene, f"one of two killed, its partitions moved after {taken_over - killed:.1f} s", back - killed)
    assert first_s <= SESSION_TIMEOUT_S + 15
    assert back - taken_over <= 15


def test_stopped_beyond_the_session_timeout_and_resumed(scene, conclude):
    """A zombie: it wakes up with a batch in hand whose partitions are another's by now."""
    with scene.flow(rate=500):
        one = scene.start_ready()
        one.process.send_signal(signal.SIGSTOP)
        two = scene.start("--set", "http.port=0")
        wait_until(lambda: two.logged("partitions assigned") and two.metric("detector_assigned_partitions") == 4, "all")
        scene.write(1000)
        one.process.send_signal(signal.SIGCONT)
        back_s = first_new_alert_s(scene, time.monotonic())
        wait_until(lambda: one.metric("detector_assigned_partitions") == 2, "its share after it came back")

    conclude(scene, "a zombie", back_s)
    assert len(two.wait_for_log("partitions revoked")["partitions"]) == 2  # nobody takes what the other still reads


def test_instances_join_and_leave_under_load(scene, conclude):
    """A rolling restart of three, in the cooperative protocol."""
    with scene.flow(rate=1000):
        running = [scene.start_ready() for _ in range(3)]
        for daemon in running[:2]:
            assert daemon.stop(signal.SIGTERM) == 0
        left, last = time.monotonic(), running[2]
        back_s = first_new_alert_s(scene, left)
        wait_until(lambda: last.metric("detector_assigned_partitions") == 4, "everything at the last one")

    conclude(scene, "two of three left", back_s)


def test_more_partitions_are_read(scene, conclude):
    """A topic that grows: the new partitions are found, from their first record on."""
    from kafka import KafkaAdminClient
    from kafka.admin import NewPartitions

    daemon = scene.start_ready()
    admin = KafkaAdminClient(bootstrap_servers=scene.kafka.bootstrap_servers)
    admin.create_partitions({scene.kafka.events_topic: NewPartitions(6)})
    admin.close()
    grown = time.monotonic()
    scene.write(600)
    back_s = first_new_alert_s(scene, grown, before=0)
    wait_until(lambda: daemon.metric("detector_assigned_partitions") == 6, "the new partitions", timeout_s=90)

    conclude(scene, "two partitions more", back_s)
    assert scene.alerts({4, 5}) > 0


def test_retention_passes_the_committed_position(scene, guarantee, client):
    """What is gone is gone, but it is counted and said, and reading goes on at the policy's end."""
    from kafka import KafkaAdminClient, TopicPartition

    daemon = scene.start_ready()
    scene.write(400)
    scene.books()
    daemon.stop(signal.SIGTERM)
    scene.write(400)
    admin = KafkaAdminClient(bootstrap_servers=scene.kafka.bootstrap_servers)
    admin.delete_records({TopicPartition(scene.kafka.events_topic, number): 150 for number in range(4)})
    admin.close()
    daemon = scene.start_ready()
    wait_until(lambda: daemon.metric("detector_offset_resets_total") > 0, "the reset")
    before, back = scene.alerts(), time.monotonic()
    scene.write(100)
    back_s = first_new_alert_s(scene, back, before)

    ledger = scene.books()
    print(
        f"\n{client}, {guarantee}: retention passed the committed position: of what is left lost {ledger.lost}, "
        f"duplicates {ledger.duplicates}; first new alert after {back_s:.1f} s"
    )
    assert ledger.lost == 0
    assert guarantee == "at-least-once" or ledger.duplicates == 0
    assert "records before the new one were not read" in daemon.log_file.read_text()


def test_deleted_alerts_topic_is_waited_for(scene, conclude, kafka):
    """Somebody cleans up too much, and makes the topic again."""
    from kafka import KafkaAdminClient

    daemon = scene.start_ready()
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.delete_topics([kafka.alerts_topic])
    admin.close()
    scene.write(300)
    daemon.wait_for_log("delivery waits for acknowledgements; reading is paused")
    create_topics(kafka, 4)
    back_s = first_new_alert_s(scene, time.monotonic(), before=0)

    conclude(scene, "the alerts topic deleted, and made again", back_s)
