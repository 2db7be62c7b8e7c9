"""Fixtures for all tests: one broker and one model for the whole run, and new topics for each test."""

import fcntl
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from detector.local.broker import EmbeddedBroker
from detector.local.demo import SAMPLE
from detector.model.folder import CURRENT
from detector.service.scoring import Scorer
from detector.settings import KafkaSettings, ModelSettings
from detector.stream.admin.topics import create_topics
from tests.aot_cache import java_options
from tests.helpers import WITHOUT_COVERAGE, processor_times, train_command

PARTITIONS = 4
_QUIET_TIMEOUT_S = 60.0
_QUIET_SAMPLE_S = 1.0
os.environ.setdefault("JAVA_TOOL_OPTIONS", java_options())
_numbers = itertools.count()
hypothesis_settings.register_profile("no deadline", deadline=None)  # other tests use the processor meanwhile
hypothesis_settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def _no_settings_of_the_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("DETECTOR_")]:
        monkeypatch.delenv(name)


def pytest_collection_modifyitems(items):
    """Run tests that measure time last: by then the other workers have little left to do."""
    items.sort(key=lambda item: "quiet" in item.fixturenames)


def pytest_terminal_summary(terminalreporter):
    """Show the fault tests' reconciliation and recovery times, whether they passed or failed."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    lines = [line for report in reports for line in report.capstdout.splitlines() if "first new alert after" in line]
    if lines:
        terminalreporter.section("faults")
        terminalreporter.write_line("\n".join(sorted(lines)))


@pytest.fixture
def quiet():
    """For a test that measures time: wait until half of the processor time is free, at most one minute."""
    deadline = time.monotonic() + _QUIET_TIMEOUT_S
    while time.monotonic() < deadline:
        before = processor_times()
        time.sleep(_QUIET_SAMPLE_S)  # the measured interval
        busy, idle = (end - start for end, start in zip(processor_times(), before, strict=True))
        if idle > busy:
            return


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    # Some tests write records of other years, which the retention of 7 days would delete while they run.
    with EmbeddedBroker(properties={"log.retention.ms": "-1"}) as running:
        yield running


@pytest.fixture
def kafka(broker) -> KafkaSettings:
    """Settings with three new topics and a new consumer group."""
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
    """The output of `train.py SAMPLE`, and the model folder that it wrote; run once for all workers."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    output, printed = root / "models", root / "trained.txt"
    with (root / "trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            done = train_command(SAMPLE, "--output", output, **WITHOUT_COVERAGE)
            assert done.returncode == 0, done.stderr
            printed.write_text(done.stdout)
    return printed.read_text(), (output / CURRENT).resolve()


@pytest.fixture(scope="session")
def models(trained_by_command) -> Path:
    """A folder of models whose current version was trained on the bundled sample."""
    return trained_by_command[1].parent


@pytest.fixture(scope="session")
def model(models) -> Path:
    return models / CURRENT


@pytest.fixture(scope="session")
def scorer(model) -> Scorer:
    return Scorer.load(ModelSettings(path=model))
