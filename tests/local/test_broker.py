"""The embedded broker as a process: ready, refused, and never left behind."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from detector.errors import DetectorError
from detector.local.broker import EmbeddedBroker
from detector.local.topics import create_topics, read_topic
from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.kafka_python import KafkaPythonSink
from tests.helpers import detector, java_processes, wait_until, write_all


@pytest.fixture
def serving(tmp_path):
    """`detector broker` in a process of its own, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = sys.executable, "-m", "detector", "broker", "--port", port, "--create-topics"
    process = subprocess.Popen(
        [*command, "--data-dir", str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        text=True,
    )
    word, _, address = process.stdout.readline().strip().partition(" ")
    assert (word, address) == ("ready", f"127.0.0.1:{port}")
    yield process, address, tmp_path / "data"
    process.kill()
    process.wait()
    process.stdout.close()


def test_new_broker_passes_the_check_of_its_first_client(serving, model):
    """A new cluster has no group coordinator until somebody asks for one: that is no fault of the settings."""
    _, address, _ = serving

    done = detector("--set", f"kafka.bootstrap_servers={address}", "--set", f"model.path={model}", "check", "--connect")

    assert done.returncode == 0, done.stderr
    assert "group detector" in done.stdout


def test_second_broker_on_a_folder_is_refused_and_the_first_goes_on(serving):
    """Two Kafkas on one folder would destroy it."""
    process, address, folder = serving

    done = detector("broker", "--data-dir", folder)

    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"detector: {folder}: a broker is running on this folder: stop it, or choose another --data-dir"
    )
    assert process.poll() is None
    assert read_topic(KafkaSettings(bootstrap_servers=address), "process-events") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly_on_a_signal(serving, number):
    """Exit 0, and no Java left."""
    process, _, folder = serving
    assert len(java_processes(folder)) == 1

    process.send_signal(number)

    assert process.wait(30) == 0
    assert java_processes(folder) == []


def test_killed_parent_leaves_no_java_behind(serving):
    """A test run that was killed does not eat a laptop's memory for the rest of the day."""
    process, _, folder = serving
    (java,) = java_processes(folder)

    process.kill()

    wait_until(lambda: not java_processes(folder), f"the end of Java, process {java}", timeout_s=30)


def test_broker_that_dies_by_itself_is_told(serving):
    """`detector broker` does not sit there as if it still served."""
    process, _, folder = serving
    os.kill(java_processes(folder)[0], signal.SIGKILL)

    assert process.wait(30) == 1


def test_data_is_kept_over_a_restart_in_a_given_folder(tmp_path):
    """A folder that was given is kept, on another port if need be; one of its own is removed."""
    with EmbeddedBroker(data_dir=tmp_path / "data") as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka, partitions=1)
        sink = KafkaPythonSink(kafka)
        write_all(sink, [OutgoingRecord(kafka.events_topic, None, b"kept", [])])
        sink.close(5)
        assert "Kafka Server started" in broker.log_file.read_text()

    with EmbeddedBroker(data_dir=tmp_path / "data") as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        assert [record.value for record in read_topic(kafka, kafka.events_topic)] == [b"kept"]


def test_own_folder_is_removed(broker):
    """Brokers for tests and demos leave nothing on the disk."""
    with EmbeddedBroker() as own:
        folder = own.data_dir
        assert folder.is_dir()
    wait_until(lambda: not folder.exists(), "the folder's removal", timeout_s=10)


def test_taken_port_is_one_line():
    """With what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DetectorError, match=rf"port {port} on 127.0.0.1 is not free: .* choose another --port"):
            EmbeddedBroker(port=port).start()


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        (
            {"num.network.threads": "none"},
            r"(?s)Kafka could not format .*Invalid value none for .* num.network.threads",
        ),
        (
            {"listener.security.protocol.map": "PLAINTEXT:SSL,CONTROLLER:PLAINTEXT"},
            r"(?s)Apache Kafka ended while starting.*Exception",
        ),
    ],
)
def test_kafka_that_does_not_start_shows_what_it_said(properties, error):
    """What is wrong is in Kafka's own words on the terminal, and nothing is left behind."""
    broker = EmbeddedBroker(properties=properties)
    with pytest.raises(DetectorError, match=error):
        broker.start()
    assert not broker.data_dir.exists()
