"""Fixtures for fault injection: the client library, the delivery guarantee, deployments and a faulty broker.

`make test` runs every fault with kafka-python, and those marked `both_clients` with librdkafka too. `make soak` runs
every fault with both.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from uuid import uuid4

import pytest

from detector.settings import KafkaSettings
from detector.stream.admin.topics import create_topics
from tests.faults.deployment import Deployment, open_deployment
from tests.faults.faulty_broker import FaultyBroker
from tests.faults.soak import SOAK

FOLDER = Path(__file__).parent


@pytest.fixture(params=["kafka-python", "librdkafka"])
def client(request) -> str:
    return request.param


@pytest.fixture(params=["at-least-once", "exactly-once"])
def guarantee(request) -> str:
    return request.param


@pytest.fixture
def options(model, guarantee, client) -> list[str]:
    """The command-line options of every daemon of a test."""
    options = ["--set", f"model.path={model}", "--set", "model.engine=numpy", "--set", "batch.max_records=200"]
    return [*options, "--set", f"delivery.guarantee={guarantee}", "--set", f"kafka.client={client}"]


@pytest.fixture
def assert_accounted_for(client, guarantee) -> Callable[..., None]:
    """Checks at the end of a test that every event is accounted for, and prints the figures.

    No event may be lost and no output may be unexpected; with exactly-once there may be no duplicate either.
    """

    def check(deployment: Deployment, fault: str, *first_new_alerts_s: float) -> None:
        result = deployment.reconcile()
        low, high, middle = min(first_new_alerts_s), max(first_new_alerts_s), median(first_new_alerts_s)
        times = f"{middle:.1f} s" if low == high else f"{low:.1f} to {high:.1f} s, median {middle:.1f}"
        print(
            f"\n{client}, {guarantee}: {fault}: {result.events} events, lost {result.lost}, "
            f"duplicates {result.duplicates}; first new alert after {times}"
        )
        assert result.events > 0
        assert result.alerts > 0
        assert (result.lost, result.unexpected) == (0, 0)
        if guarantee == "exactly-once":
            assert result.duplicates == 0

    return check


@pytest.fixture
def deployment(kafka, scorer, options, tmp_path) -> Iterator[Deployment]:
    """A deployment on the broker that all tests of the run share."""
    with open_deployment(kafka, scorer, options, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def faulty_broker(tmp_path_factory) -> Iterator[FaultyBroker]:
    """A broker that only the tests of one module use."""
    broker = FaultyBroker(tmp_path_factory.mktemp("faulty") / "kafka")
    yield broker
    broker.stop()


@pytest.fixture
def exposed_deployment(faulty_broker, scorer, options, tmp_path) -> Iterator[Deployment]:
    """A deployment on the faulty broker, with topics that no other test uses."""
    names = {
        name: f"{name}-{uuid4().hex[:8]}" for name in ("events_topic", "alerts_topic", "dead_letter_topic", "group_id")
    }
    kafka = KafkaSettings(bootstrap_servers=faulty_broker.bootstrap_servers, **names)
    create_topics(kafka, 4)
    with open_deployment(kafka, scorer, options, tmp_path) as opened:
        yield opened


def pytest_collection_modifyitems(config, items):
    """Deselect what only `make soak` runs: librdkafka's variant of faults that are not marked `both_clients`."""
    deselected = [item for item in items if item.path.is_relative_to(FOLDER) and _is_only_for_soak(item)]
    items[:] = [item for item in items if item not in deselected]
    config.hook.pytest_deselected(items=deselected)


def _is_only_for_soak(item) -> bool:
    call = getattr(item, "callspec", None)
    if SOAK or call is None or call.params.get("client") != "librdkafka":
        return False
    marker = item.get_closest_marker("both_clients")
    return marker is None or bool(marker.args and call.params["guarantee"] not in marker.args)
