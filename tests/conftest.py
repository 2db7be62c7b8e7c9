"""What tests share: one broker for the whole run, one model, topics of their own."""

import fcntl
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.local.broker import EmbeddedBroker
from detector.local.demo import SAMPLE
from detector.local.topics import create_topics
from detector.model.folder import CURRENT
from detector.service.scoring import Scorer
from detector.settings import KafkaSettings, ModelSettings
from tests.aot_cache import java_options
from tests.helpers import processor_times, train_command

PARTITIONS = 4
_QUIET_WITHIN_S = 60.0
os.environ.setdefault("JAVA_TOOL_OPTIONS", java_options())
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in [name for name in os.environ if name.startswith("DETECTOR_")]:
        monkeypatch.delenv(name)


def pytest_collection_modifyitems(items):
    """Put at the end what wants the machine for itself: the other workers have less and less to do by then."""
    items.sort(key=lambda item: "quiet" in item.fixturenames)


def pytest_terminal_summary(terminalreporter):
    """The faults' books and times, which are printed for whoever ran them, whether they passed or not."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    lines = [line for report in reports for line in report.capstdout.splitlines() if "first new alert after" in line]
    if lines:
        terminalreporter.section("faults")
        terminalreporter.write_line("\n".join(sorted(lines)))


@pytest.fixture
def quiet():
    """For a test that takes times: half of the processors' time is free, or did not get so within a minute."""
    deadline = time.monotonic() + _QUIET_WITHIN_S
    while time.monotonic() < deadline:
        before = processor_times()
        time.sleep(1)  # the span that is looked at
        busy, idle = (now - then for now, then in zip(processor_times(), before, strict=True))
        if idle > busy:
            return


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


@pytest.fixture
def kafka(broker) -> KafkaSettings:
    """Settings with three new topics and a new group."""
    number = next(_numbers)
    settings = KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers,
        events_topic=f"events-{number}",
        alerts_topic=f"alerts-{number}",
        dead_letter_topic=f"dead-letters-{number}",
        group_id=f"group-{number}",
    )
    create_topics(settings, PARTITIONS)
    return settings


@pytest.fixture(scope="session")
def trained_by_command(tmp_path_factory) -> tuple[str, Path]:
    """What `train.py SAMPLE` said, and the version that it wrote; once for all workers of a run."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    output, said = root / "models", root / "trained.txt"
    with (root / "trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            done = train_command(SAMPLE, "--output", output)
            assert done.returncode == 0, done.stderr
            said.write_text(done.stdout)
    return said.read_text(), (output / CURRENT).resolve()


@pytest.fixture(scope="session")
def models(trained_by_command) -> Path:
    """A models folder with a current version, trained on the bundled sample."""
    return trained_by_command[1].parent


@pytest.fixture(scope="session")
def model(models) -> Path:
    return models / CURRENT


@pytest.fixture(scope="session")
def scorer(model) -> Scorer:
    return Scorer.load(ModelSettings(path=model))
