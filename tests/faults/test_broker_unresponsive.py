"""A broker that responds late or not at all: the service waits, says so, and recovers without help."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kafka import KafkaAdminClient
from kafka.protocol.admin.client_quotas import AlterClientQuotasRequest

from detector.settings import KafkaSettings
from tests.helpers import wait_until

IDLE_POLL_S = 0.5
"""How long an idle daemon waits for records in one poll."""


def test_frozen_broker_makes_the_service_not_ready(exposed_deployment, faulty_broker, assert_accounted_for, guarantee):
    """Otherwise an orchestrator would restart the service, which does not help, or nobody would see why it waits."""
    deployment = exposed_deployment
    deployment.write(5_000 if guarantee == "at-least-once" else 2_000)
    # Batches this small keep it busy for seconds, so outputs are in flight whenever the broker is frozen.
    daemon = deployment.start_ready("--set", "batch.max_records=10")
    wait_until(lambda: deployment.alerts() > 0, "alerts before the freeze")
    with faulty_broker.frozen():
        wait_until(lambda: daemon.get("/readyz")[0] == 503, "not ready")
        assert daemon.get("/healthz")[0] == 200
        assert "waiting for acknowledgements" in daemon.get("/readyz")[1]
        assert daemon.metric("detector_paused") == 1
    recovery_s = deployment.first_new_alert_s(time.monotonic())
    wait_until(lambda: daemon.get("/readyz")[0] == 200, "ready again")

    assert_accounted_for(deployment, "the broker frozen", recovery_s)
    assert daemon.log_count("delivery_waiting") == daemon.log_count("delivery_recovered") > 0


@pytest.mark.both_clients
def test_unresponsive_broker_is_reported_without_work(exposed_deployment, faulty_broker, assert_accounted_for):
    """Otherwise an unresponsive broker would look like a topic without records, and nobody would notice it."""
    deployment = exposed_deployment
    deployment.write(10)
    daemon = deployment.start_ready()
    wait_until(lambda: daemon.metric("detector_records_consumed_total") == 10, "all records processed")
    with faulty_broker.frozen():
        not_responding = (503, "Kafka brokers are not responding\n")
        wait_until(lambda: daemon.get("/readyz") == not_responding, "not ready, with the reason")
        assert daemon.get("/healthz")[0] == 200
        progress = daemon.metric("detector_last_progress_timestamp_seconds")
        time.sleep(4 * IDLE_POLL_S)  # the metric must not change during several polls
        assert daemon.metric("detector_last_progress_timestamp_seconds") == progress
    wait_until(lambda: daemon.get("/readyz")[0] == 200, "ready again")
    before, recovered = deployment.alerts(), time.monotonic()
    deployment.write(100)

    assert_accounted_for(deployment, "the broker unresponsive", deployment.first_new_alert_s(recovered, before))
    assert daemon.log_count("brokers_not_responding") == daemon.log_count("brokers_recovered") == 1


@contextmanager
def write_quota(kafka: KafkaSettings, bytes_per_s: float) -> Iterator[None]:
    """Within the block, the brokers limit how fast the daemon may write."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    try:
        set_write_quota(admin, bytes_per_s)
        yield
    finally:
        set_write_quota(admin, None)
        admin.close()


def set_write_quota(admin: KafkaAdminClient, bytes_per_s: float | None) -> None:
    entry = AlterClientQuotasRequest.EntryData
    client = entry.EntityData(entity_type="client-id", entity_name="detector")
    quota = entry.OpData(key="producer_byte_rate", value=bytes_per_s or 0.0, remove=bytes_per_s is None)
    request = AlterClientQuotasRequest(entries=[entry(entity=[client], ops=[quota])], validate_only=False)
    response = admin._manager.run(admin._manager.send, request)
    assert [entry.error_code for entry in response.entries] == [0]


@pytest.mark.both_clients("at-least-once")
def test_writes_over_the_quota_are_waited_for(exposed_deployment, assert_accounted_for):
    """Otherwise the service would lose alerts or restart while brokers throttle it."""
    deployment = exposed_deployment
    deployment.write(6_000)  # more than one batch: brokers answer the batch over the quota, and delay the next one
    with write_quota(deployment.kafka, 20_000.0):
        daemon = deployment.start_ready()
        daemon.wait_for_log("delivery_waiting")
        assert daemon.get("/healthz")[0] == 200
        before = deployment.alerts()
    recovery_s = deployment.first_new_alert_s(time.monotonic(), before)

    assert_accounted_for(deployment, "writes over the quota", recovery_s)
    assert daemon.metric("detector_delivery_failures_total") == 0
