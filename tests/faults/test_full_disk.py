"""A broker whose disk is full: Kafka ends itself; the service waits for it, and loses nothing."""

import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest

from detector.local.broker import EmbeddedBroker
from detector.local.topics import create_topics
from detector.settings import KafkaSettings
from tests.faults.conftest import SOAK
from tests.faults.scene import Scene, first_new_alert_s
from tests.helpers import wait_until

DISK_MB = 48


@pytest.fixture
def disk(tmp_path):
    """A file system so small that a test can fill it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["/bin/mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            return ballast


@pytest.mark.skipif(not SOAK, reason="takes a broker and a file system of its own: part of `make soak`")
def test_full_disk_of_the_broker(disk, scorer, options, conclude, tmp_path):
    """Kafka cannot write and ends; somebody makes room and starts it again."""
    data = disk / "kafka"
    broker = EmbeddedBroker(data_dir=data).start()
    port = int(broker.bootstrap_servers.rpartition(":")[2])
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, group_id=f"group-{uuid4().hex[:8]}")
    create_topics(kafka, 4)
    scene = Scene(kafka, scorer, options, tmp_path)
    try:
        daemon = scene.start_ready()
        with scene.flow(rate=500):
            before = scene.alerts()
            wait_until(lambda: scene.alerts() > before, "alerts")
            ballast = fill(disk)
            wait_until(lambda: not broker.is_running(), "the end of a broker that cannot write")
            assert daemon.get("/healthz")[0] == 200
            broker.stop()
            ballast.unlink()
            broker = EmbeddedBroker(port=port, data_dir=data).start()
            back_s = first_new_alert_s(scene, time.monotonic())
        conclude(scene, "the disk full", back_s)
    finally:
        scene.close()
        broker.stop()
