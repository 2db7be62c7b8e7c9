"""A broker that is killed or away: the service waits, says so, comes back alone, and the books are right."""

import os
import signal
import time
from statistics import median

import pytest

from detector.stream.kafka_options import TRANSACTION_TIMEOUT_MS
from tests.faults.conftest import SOAK
from tests.faults.scene import first_new_alert_s
from tests.helpers import RunningDetector, wait_until

KILLS = int(os.environ.get("DETECTOR_SOAK_BROKER_KILLS", "3"))
# Beside other tests it is no measurement: there the bound only says that it comes back by itself.
BACK_WITHIN_S = 5.0 if SOAK else 15.0
DELIVERY_TIMEOUT_S = 120.0


@pytest.mark.both_clients
@pytest.mark.timeout(3600)
def test_broker_killed_in_mid_batch(hurt_scene, hurt, conclude):
    """SIGKILL of the broker under load, and its return on the same data."""
    back = []
    with hurt_scene.flow(rate=500):
        hurt_scene.start_ready()
        for _ in range(KILLS):
            before = hurt_scene.alerts()
            wait_until(lambda before=before: hurt_scene.alerts() > before, "alerts before the kill")
            hurt.kill()
            hurt.start()
            back.append(first_new_alert_s(hurt_scene, time.monotonic()))

    conclude(hurt_scene, f"{KILLS} SIGKILLs of the broker", *back)
    assert median(back) <= BACK_WITHIN_S


def live_through_an_outage(hurt_scene, hurt, seconds, alerts=1) -> tuple[RunningDetector, float]:
    """The daemon, and how long the first new alert took, after a broker that was away under load for so long.

    It writes so many alerts before: a long outage may not be taken for what a process takes in its first minute.
    """
    with hurt_scene.flow(rate=500):
        daemon = hurt_scene.start_ready()
        before = hurt_scene.alerts()
        wait_until(lambda: hurt_scene.alerts() >= before + alerts, "alerts before the outage", timeout_s=180)
        hurt.kill()
        wait_until(lambda: daemon.get("/readyz")[0] == 503, "not ready")
        memory = daemon.resident_bytes()
        time.sleep(seconds)  # the outage's own length
        assert daemon.resident_bytes() <= 1.05 * memory
        assert daemon.get("/healthz")[0] == 200
        assert daemon.get("/readyz")[0] == 503
        hurt.start()
        return daemon, first_new_alert_s(hurt_scene, time.monotonic())


@pytest.mark.both_clients
@pytest.mark.parametrize("guarantee", ["exactly-once"])
def test_broker_away_beyond_the_transaction(hurt_scene, hurt, conclude):
    """Both clients have waits without an end for a transaction whose coordinator went away."""
    _, back_s = live_through_an_outage(hurt_scene, hurt, TRANSACTION_TIMEOUT_MS / 1000 + 2)
    conclude(hurt_scene, "the broker away beyond the transaction", back_s)
    assert back_s <= BACK_WITHIN_S


@pytest.mark.timeout(900)
@pytest.mark.skipif(not SOAK, reason="waits for two minutes: part of `make soak`")
def test_broker_away_beyond_the_delivery_timeout(hurt_scene, hurt, conclude):
    """The client gives its records up after two minutes; the service does not."""
    daemon, back_s = live_through_an_outage(hurt_scene, hurt, DELIVERY_TIMEOUT_S + 10, alerts=5_000)
    assert " still " in daemon.log_file.read_text()  # once a minute, whatever was on its way when the broker went
    conclude(hurt_scene, "the broker away beyond the delivery timeout", back_s)
    assert back_s <= BACK_WITHIN_S


def test_stop_with_the_broker_down_ends_in_time(hurt_scene, hurt, conclude):
    """A node that is drained does not wait for a Kafka that is gone; what was in hand is read again by the next."""
    with hurt_scene.flow(rate=1000):
        daemon = hurt_scene.start_ready("--set", "shutdown.timeout_s=4")
        before = hurt_scene.alerts()
        wait_until(lambda: hurt_scene.alerts() > before, "alerts")
        hurt.kill()
        started = time.monotonic()
        assert daemon.stop(signal.SIGTERM) == 0
        took_s = time.monotonic() - started
        hurt.start()
        back = time.monotonic()
        hurt_scene.start_ready()
        back_s = first_new_alert_s(hurt_scene, back)

    conclude(hurt_scene, f"stopped in {took_s:.1f} s with the broker down, and started", back_s)
    assert took_s <= 4 + 2
