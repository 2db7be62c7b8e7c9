"""What happens with another version of kafka-python than the one that the patches were tested with."""

import json
import os
import subprocess
import sys

import pytest

from detector.errors import UsageError
from detector.stream.connect import open_stream
from detector.stream.kafka_python import patches
from tests.helpers import ROOT, alive_until, detector, kafka_options
from tests.stream.listeners import RecordingListener
from tests.stream.reading import closing

OTHER_VERSION = "3.1.0"


@pytest.fixture
def other_version(tmp_path):
    """Environment variables that make Python find another version of kafka-python."""
    metadata = tmp_path / f"kafka_python-{OTHER_VERSION}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: kafka-python\nVersion: {OTHER_VERSION}\n")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}


def test_another_version_is_a_usage_error(monkeypatch):
    """Otherwise the service would fail with a traceback, or lose events, because its patches do not fit."""
    monkeypatch.setattr(patches, "version", lambda _: OTHER_VERSION)

    with pytest.raises(UsageError) as error:
        patches.apply()

    assert f"kafka-python {OTHER_VERSION} is installed" in str(error.value)
    assert f'pip install "kafka-python=={patches.TESTED_VERSION}"' in str(error.value)
    assert "DETECTOR_KAFKA__CLIENT=librdkafka" in str(error.value)


@pytest.mark.parametrize("verb", ["run", "check"])
def test_command_ends_with_one_line_and_exit_code_2(tmp_path, other_version, verb):
    """Otherwise an operator who upgraded kafka-python would see a traceback instead of the command that helps."""
    done = detector(verb, cwd=tmp_path, **other_version)

    assert done.returncode == 2
    *log, line = done.stderr.splitlines()
    assert line.startswith(f"detector: kafka-python {OTHER_VERSION} is installed, but ")
    assert [json.loads(entry)["event"] for entry in log] == (["service_failed"] if verb == "run" else [])


def test_check_with_the_other_client_works(kafka, tmp_path, other_version):
    """Otherwise `detector check` would fail for an operator who follows the advice to use librdkafka."""
    done = detector(
        *kafka_options(kafka), "check", "--connect", cwd=tmp_path, DETECTOR_KAFKA__CLIENT="librdkafka", **other_version
    )

    failed = [line for line in done.stdout.splitlines() if not line.startswith("ok")]
    assert [line.split()[:2] for line in failed] == [["FAIL", "model"]]  # this test has none
    assert "ok    brokers" in done.stdout


@pytest.mark.parametrize("guarantee", ["at-least-once", "exactly-once"])
def test_stream_of_the_other_client_opens(kafka, monkeypatch, guarantee):
    """Otherwise the service would not start with librdkafka, although the error recommends it."""
    monkeypatch.setattr(patches, "version", lambda _: OTHER_VERSION)

    def wait(reason: str) -> None:
        raise AssertionError(reason)

    settings = kafka.model_copy(update={"client": "librdkafka"})
    source, sink = open_stream(settings, guarantee, RecordingListener(), wait)

    with closing(source), closing(sink):
        alive_until(lambda: len(source.partitions()) == 4, [source], "all partitions")


def test_patches_are_imported_after_the_version_check_only():
    """Otherwise another version of kafka-python would cause an ImportError before its version is checked."""
    code = """
import importlib, pkgutil, sys
import detector.stream, detector.service.check, detector.service.daemon

patches = "detector.stream.kafka_python.patches."
for module in pkgutil.walk_packages(detector.stream.__path__, "detector.stream."):
    if not module.name.startswith(patches):
        importlib.import_module(module.name)
print([name for name in sys.modules if name.startswith(patches)])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
