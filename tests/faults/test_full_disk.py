"""A broker whose disk is full: Kafka stops; the service waits for it, and loses nothing."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from detector.local.broker import EmbeddedBroker
from detector.settings import KafkaSettings
from detector.stream.admin.topics import create_topics
from tests.faults.deployment import open_deployment
from tests.faults.soak import SOAK
from tests.helpers import wait_until

DISK_MB = 48
CHUNK_BYTES = 1 << 16


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A file system that is small enough for a test to fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["/bin/mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file that takes all the free space."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(CHUNK_BYTES))
        except OSError:
            return ballast


@pytest.mark.skipif(not SOAK, reason="needs its own broker and file system: part of `make soak`")
def test_full_disk_of_the_broker(disk, scorer, options, assert_accounted_for, tmp_path):
    """Otherwise a broker's full disk would cost events, or a restart of the service."""
    data = disk / "kafka"
    with ExitStack() as stack:
        broker = EmbeddedBroker(data_dir=data).start()
        stack.callback(broker.stop)
        port = int(broker.bootstrap_servers.rpartition(":")[2])
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, group_id=f"group-{uuid4().hex[:8]}")
        create_topics(kafka, 4)
        deployment = stack.enter_context(open_deployment(kafka, scorer, options, tmp_path))
        daemon = deployment.start_ready()
        with deployment.load(rate=500):
            before = deployment.alerts()
            wait_until(lambda: deployment.alerts() > before, "alerts")
            ballast = fill(disk)
            wait_until(lambda: not broker.is_running(), "the exit of a broker that cannot write")
            assert daemon.get("/healthz")[0] == 200
            broker.stop()
            ballast.unlink()
            restarted = EmbeddedBroker(port=port, data_dir=data).start()
            stack.callback(restarted.stop)
            recovery_s = deployment.first_new_alert_s(time.monotonic())
        assert_accounted_for(deployment, "the disk full", recovery_s)
