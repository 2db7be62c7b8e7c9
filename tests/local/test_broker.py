"""The embedded broker as a process: it starts, reports errors, and always stops with its parent."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from detector.errors import DetectorError
from detector.local.broker import EmbeddedBroker
from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.admin.topics import create_topics, read_topic
from detector.stream.kafka_python.sink import KafkaPythonSink
from tests.helpers import detector, java_processes, wait_until, write_all


@pytest.fixture
def serving(tmp_path):
    """`detector broker` in its own process: the process, its address and its data folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = sys.executable, "-m", "detector", "broker", "--port", port, "--create-topics"
    process = subprocess.Popen(
        [*command, "--data-dir", str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        word, _, address = process.stdout.readline().strip().partition(" ")
        assert (word, address) == ("ready", f"127.0.0.1:{port}")
        yield process, address, tmp_path / "data"
    finally:
        process.kill()
        process.communicate()


def test_new_broker_passes_detector_check(serving, model):
    """Otherwise `detector check` would fail on a new cluster, which has no group coordinator yet."""
    _, address, _ = serving

    done = detector("--set", f"kafka.bootstrap_servers={address}", "--set", f"model.path={model}", "check", "--connect")

    assert done.returncode == 0, done.stderr
    assert "group detector" in done.stdout


def test_second_broker_on_a_folder_is_an_error_and_the_first_keeps_running(serving):
    """Otherwise two brokers would destroy the data that they share."""
    process, address, folder = serving

    done = detector("broker", "--data-dir", folder)

    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"detector: {folder}: another broker is using this folder; stop it, or choose another --data-dir"
    )
    assert process.poll() is None
    assert read_topic(KafkaSettings(bootstrap_servers=address), "process-events") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly_on_a_signal(serving, number):
    """Otherwise a stopped broker would leave a Java process behind, or look as if it had failed."""
    process, _, folder = serving
    assert len(java_processes(folder)) == 1

    process.send_signal(number)

    assert process.wait(30) == 0
    assert java_processes(folder) == []


def test_killed_parent_leaves_no_java_process(serving):
    """Otherwise Java processes of killed runs would fill a laptop's memory until somebody finds them."""
    process, _, folder = serving
    (java,) = java_processes(folder)

    process.kill()

    wait_until(lambda: not java_processes(folder), f"the end of the Java process {java}", timeout_s=30)


def test_command_exits_when_its_broker_dies(serving):
    """Otherwise `detector broker` would look as if a broker were still running."""
    process, _, folder = serving
    os.kill(java_processes(folder)[0], signal.SIGKILL)

    assert process.wait(30) == 1


def test_data_is_kept_over_a_restart_in_a_given_folder(tmp_path):
    """Otherwise a user's topics would be lost at a restart, or could only be used on the same port."""
    with EmbeddedBroker(data_dir=tmp_path / "data") as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka, partitions=1)
        sink = KafkaPythonSink(kafka)
        try:
            write_all(sink, [OutgoingRecord(kafka.events_topic, None, b"kept", [])])
        finally:
            sink.close(5)
        assert "Kafka Server started" in broker.log_file.read_text()

    with EmbeddedBroker(data_dir=tmp_path / "data") as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        assert [record.value for record in read_topic(kafka, kafka.events_topic)] == [b"kept"]


def test_temporary_folder_is_removed(broker):
    """Otherwise tests and demos would fill the disk."""
    with EmbeddedBroker() as temporary:
        folder = temporary.data_dir
        assert folder.is_dir()
    wait_until(lambda: not folder.exists(), "the folder's removal", timeout_s=10)


def test_port_in_use_is_an_error():
    """Otherwise users would not learn that they can choose another port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(DetectorError, match=rf"port {port} on 127.0.0.1 is not free: .* choose another --port"):
            EmbeddedBroker(port=port).start()


def test_home_folder_that_cannot_be_used_is_named(tmp_path):
    """Otherwise users would look for the fault in their network."""
    done = detector("broker", HOME=os.devnull, cwd=tmp_path)

    assert done.returncode == 1
    assert "cannot be stored in the home folder: /dev/null/" in done.stderr
    assert done.stderr.endswith("Not a directory; set HOME to a folder that exists and can be written\n")


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        (
            {"num.network.threads": "none"},
            r"(?s)Kafka could not format .*Invalid value none for .* num.network.threads",
        ),
        (
            {"listener.security.protocol.map": "PLAINTEXT:SSL,CONTROLLER:PLAINTEXT"},
            r"(?s)Apache Kafka exited while starting.*Exception",
        ),
    ],
)
def test_failed_start_shows_the_end_of_kafkas_log(properties, error):
    """Otherwise users would not see why Kafka did not start, or temporary data would stay on their disk."""
    broker = EmbeddedBroker(properties=properties)
    with pytest.raises(DetectorError, match=error):
        broker.start()
    assert not broker.data_dir.exists()
