"""A broker that answers late or not at all: the service waits, says so, and goes on by itself."""

import signal
import time
from contextlib import contextmanager

import pytest
from kafka import KafkaAdminClient
from kafka.protocol.admin.client_quotas import AlterClientQuotasRequest

from tests.faults.scene import first_new_alert_s
from tests.helpers import wait_until


def test_frozen_broker_is_seen_from_inside(hurt_scene, hurt, conclude, guarantee):
    """It accepts connections and answers nothing: alive and not ready, one line when it starts, one when it ends."""
    hurt_scene.write(5_000 if guarantee == "at-least-once" else 2_000)
    # So small that it is at work for seconds: whenever the broker stops, outputs are on their way or in hand.
    daemon = hurt_scene.start_ready("--set", "batch.max_records=10")
    wait_until(lambda: hurt_scene.alerts() > 0, "alerts before the freeze")
    hurt.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: daemon.get("/readyz")[0] == 503, "not ready")
        assert daemon.get("/healthz")[0] == 200
        assert "delivery waits for acknowledgements" in daemon.get("/readyz")[1]
        assert daemon.metric("detector_paused") == 1
    finally:
        hurt.signal(signal.SIGCONT)
    back_s = first_new_alert_s(hurt_scene, time.monotonic())
    wait_until(lambda: daemon.get("/readyz")[0] == 200, "ready again")

    conclude(hurt_scene, "the broker frozen", back_s)
    log = daemon.log_file.read_text()
    assert log.count("delivery waits for acknowledgements; reading is paused") == log.count("delivery no longer waits")


@pytest.mark.both_clients
def test_silent_broker_is_seen_without_work(hurt_scene, hurt, conclude):
    """Nothing is on its way, so nothing is waited for: still it must not say that all is well and the topic empty."""
    hurt_scene.write(10)
    daemon = hurt_scene.start_ready()
    wait_until(lambda: daemon.metric("detector_records_consumed_total") == 10, "all that there is")
    hurt.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: daemon.get("/readyz") == (503, "the brokers do not answer\n"), "not ready, and why")
        assert daemon.get("/healthz")[0] == 200
        progress = daemon.metric("detector_last_progress_timestamp_seconds")
        time.sleep(2)  # four times what an idle look at the topic takes
        assert daemon.metric("detector_last_progress_timestamp_seconds") == progress
    finally:
        hurt.signal(signal.SIGCONT)
    wait_until(lambda: daemon.get("/readyz")[0] == 200, "ready again")
    before, back = hurt_scene.alerts(), time.monotonic()
    hurt_scene.write(100)

    conclude(hurt_scene, "the broker silent", first_new_alert_s(hurt_scene, back, before))
    log = daemon.log_file.read_text()
    assert log.count("the brokers do not answer") == log.count("the brokers answer again") == 1


@contextmanager
def write_quota(kafka, bytes_per_s):
    """The brokers let every client of this name write so much and no more."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    try:
        set_write_quota(admin, bytes_per_s)
        yield
    finally:
        set_write_quota(admin, None)
        admin.close()


def set_write_quota(admin, bytes_per_s) -> None:
    entry = AlterClientQuotasRequest.EntryData
    client = entry.EntityData(entity_type="client-id", entity_name="detector")
    quota = entry.OpData(key="producer_byte_rate", value=bytes_per_s or 0.0, remove=bytes_per_s is None)
    request = AlterClientQuotasRequest(entries=[entry(entity=[client], ops=[quota])], validate_only=False)
    response = admin._manager.run(admin._manager.send, request)
    assert [entry.error_code for entry in response.entries] == [0]


@pytest.mark.both_clients("at-least-once")
def test_writes_over_the_quota_are_waited_for(hurt_scene, conclude):
    """The brokers slow this client down: it waits for them, says so, and loses nothing."""
    hurt_scene.write(6_000)  # more than one batch: the brokers answer what is over the quota, and then hear no more
    with write_quota(hurt_scene.kafka, 20_000.0):
        daemon = hurt_scene.start_ready()
        daemon.wait_for_log("delivery waits for acknowledgements; reading is paused")
        assert daemon.get("/healthz")[0] == 200
        before = hurt_scene.alerts()
    back_s = first_new_alert_s(hurt_scene, time.monotonic(), before)

    conclude(hurt_scene, "writes over the quota", back_s)
    assert daemon.metric("detector_delivery_failures_total") == 0
