"""Which client library is hurt: kafka-python by `make test`, and librdkafka where it is marked; both by `make soak`."""

import os
from pathlib import Path
from statistics import median
from uuid import uuid4

import pytest

from detector.local.topics import create_topics
from detector.settings import KafkaSettings
from tests.faults.hurt import Hurt
from tests.faults.scene import Scene

HERE = Path(__file__).parent
SOAK = "DETECTOR_SOAK_KILLS" in os.environ


@pytest.fixture(params=["kafka-python", "librdkafka"])
def client(request):
    return request.param


@pytest.fixture(params=["at-least-once", "exactly-once"])
def guarantee(request):
    return request.param


@pytest.fixture
def options(model, guarantee, client):
    """What every daemon of a test is started with."""
    options = ["--set", f"model.path={model}", "--set", "model.engine=numpy", "--set", "batch.max_records=200"]
    return [*options, "--set", f"delivery.guarantee={guarantee}", "--set", f"kafka.client={client}"]


@pytest.fixture
def conclude(client, guarantee):
    """Ends a test with its books, printed and held to what was promised.

    Nothing lost, nothing that should not be there, and with exactly-once nothing twice.
    """

    def conclude(scene: Scene, fault: str, *first_new_alerts_s: float) -> None:
        ledger = scene.books()
        low, high, middle = min(first_new_alerts_s), max(first_new_alerts_s), median(first_new_alerts_s)
        times = f"{middle:.1f} s" if low == high else f"{low:.1f} to {high:.1f} s, median {middle:.1f}"
        print(
            f"\n{client}, {guarantee}: {fault}: {ledger.events} events, lost {ledger.lost}, "
            f"duplicates {ledger.duplicates}; first new alert after {times}"
        )
        assert ledger.events > 0
        assert ledger.alerts > 0
        assert (ledger.lost, ledger.unexpected) == (0, 0)
        if guarantee == "exactly-once":
            assert ledger.duplicates == 0

    return conclude


@pytest.fixture
def scene(kafka, scorer, options, tmp_path):
    """On the broker that all tests of the run share."""
    opened = Scene(kafka, scorer, options, tmp_path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def hurt(tmp_path_factory):
    """A broker of the module's own."""
    opened = Hurt(tmp_path_factory.mktemp("hurt") / "kafka")
    yield opened
    opened.stop()


@pytest.fixture
def hurt_scene(hurt, scorer, options, tmp_path):
    """On the broker that the module hurts, with topics of the test's own."""
    names = {
        name: f"{name}-{uuid4().hex[:8]}" for name in ("events_topic", "alerts_topic", "dead_letter_topic", "group_id")
    }
    kafka = KafkaSettings(bootstrap_servers=hurt.broker.bootstrap_servers, **names)
    create_topics(kafka, 4)
    opened = Scene(kafka, scorer, options, tmp_path)
    yield opened
    opened.close()


def pytest_collection_modifyitems(config, items):
    """Leave out librdkafka's share of a fault that is not marked, unless this is the soak; pytest shows all tests."""
    left_out = [item for item in items if item.path.is_relative_to(HERE) and _is_for_the_soak(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _is_for_the_soak(item) -> bool:
    call = getattr(item, "callspec", None)
    is_librdkafka = call is not None and call.params.get("client") == "librdkafka"
    marker = item.get_closest_marker("both_clients")
    guarantees = marker.args if marker and marker.args else None
    wanted = marker is not None and (guarantees is None or call.params["guarantee"] in guarantees)
    return not SOAK and is_librdkafka and not wanted
