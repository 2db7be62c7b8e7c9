"""A killed broker, which may come back or not: the service waits, says so, and recovers without help."""

import signal
import time
from statistics import median

import pytest

from detector.stream.policy import TRANSACTION_TIMEOUT_MS
from tests.faults.deployment import Deployment
from tests.faults.faulty_broker import FaultyBroker
from tests.faults.soak import BROKER_KILLS, SOAK
from tests.helpers import RunningDetector, wait_until

# In `make soak` a real limit; while other tests run, it only shows that the service recovers.
RECOVERY_S = 5.0 if SOAK else 15.0
DELIVERY_TIMEOUT_S = 120.0


@pytest.mark.both_clients
@pytest.mark.timeout(3600)
def test_broker_killed_in_mid_batch(exposed_deployment, faulty_broker, assert_accounted_for):
    """Otherwise a broker that crashes under load would cost events, or a restart of the service."""
    deployment, recovery_s = exposed_deployment, []
    with deployment.load(rate=500):
        deployment.start_ready()
        for _ in range(BROKER_KILLS):
            deployment.first_new_alert_s(time.monotonic())  # alerts are being written when the broker is killed
            faulty_broker.kill()
            faulty_broker.restart()
            recovery_s.append(deployment.first_new_alert_s(time.monotonic()))

    assert_accounted_for(deployment, f"{BROKER_KILLS} SIGKILLs of the broker", *recovery_s)
    assert median(recovery_s) <= RECOVERY_S


def survive_outage(
    deployment: Deployment, broker: FaultyBroker, seconds: float, alerts_before: int = 1
) -> tuple[RunningDetector, float]:
    """Kill the broker under load, and restart it after this many seconds.

    Args:
        deployment: on the broker.
        broker: the broker to kill.
        seconds: how long it is unavailable.
        alerts_before: how many alerts are written before, because a process needs memory in its first minute.

    Returns:
        The daemon, and the seconds from the restart to the first new alert.
    """
    with deployment.load(rate=500):
        daemon = deployment.start_ready()
        before = deployment.alerts()
        wait_until(lambda: deployment.alerts() >= before + alerts_before, "alerts before the outage", timeout_s=180)
        broker.kill()
        wait_until(lambda: daemon.get("/readyz")[0] == 503, "not ready")
        memory = daemon.resident_bytes()
        time.sleep(seconds)  # the length of the outage
        assert daemon.resident_bytes() <= 1.05 * memory
        assert daemon.get("/healthz")[0] == 200
        assert daemon.get("/readyz")[0] == 503
        broker.restart()
        return daemon, deployment.first_new_alert_s(time.monotonic())


@pytest.mark.both_clients
@pytest.mark.parametrize("guarantee", ["exactly-once"])
def test_broker_unavailable_beyond_the_transaction_timeout(exposed_deployment, faulty_broker, assert_accounted_for):
    """Otherwise the service would hang after an outage, because both clients may wait forever for the transaction."""
    _, recovery_s = survive_outage(exposed_deployment, faulty_broker, TRANSACTION_TIMEOUT_MS / 1000 + 2)

    assert_accounted_for(exposed_deployment, "the broker unavailable beyond the transaction timeout", recovery_s)
    assert recovery_s <= RECOVERY_S


@pytest.mark.timeout(900)
@pytest.mark.skipif(not SOAK, reason="takes two minutes: part of `make soak`")
def test_broker_unavailable_beyond_the_delivery_timeout(exposed_deployment, faulty_broker, assert_accounted_for):
    """Otherwise a long outage would cost alerts, because the client library drops them after two minutes."""
    outage_s = DELIVERY_TIMEOUT_S + 10
    daemon, recovery_s = survive_outage(exposed_deployment, faulty_broker, outage_s, alerts_before=5_000)

    # Which reminder is logged each minute depends on what was in flight when the broker was killed.
    assert "_still_" in daemon.log_file.read_text()
    assert_accounted_for(exposed_deployment, "the broker unavailable beyond the delivery timeout", recovery_s)
    assert recovery_s <= RECOVERY_S


def test_stop_with_the_broker_down_ends_in_time(exposed_deployment, faulty_broker, assert_accounted_for):
    """Otherwise a shutdown during an outage would hang, or the unfinished batch would be lost."""
    deployment = exposed_deployment
    with deployment.load(rate=1000):
        daemon = deployment.start_ready("--set", "shutdown.timeout_s=4")
        before = deployment.alerts()
        wait_until(lambda: deployment.alerts() > before, "alerts")
        faulty_broker.kill()
        started = time.monotonic()
        assert daemon.stop(signal.SIGTERM) == 0
        stop_s = time.monotonic() - started
        faulty_broker.restart()
        restarted = time.monotonic()
        deployment.start_ready()
        recovery_s = deployment.first_new_alert_s(restarted)

    assert_accounted_for(deployment, f"stopped in {stop_s:.1f} s with the broker down, and started", recovery_s)
    assert stop_s <= 4 + 2
