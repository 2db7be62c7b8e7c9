"""A broker for fault injection."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.local.broker import EmbeddedBroker
from tests.faults.transaction_markers import SkippedMarkerWriter
from tests.helpers import java_processes


class FaultyBroker:
    """A broker that tests kill, freeze and restart on the same port and data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._marker_writer: SkippedMarkerWriter | None = None
        self._broker = EmbeddedBroker(data_dir=folder).start()
        self._port = int(self.bootstrap_servers.rpartition(":")[2])

    @property
    def bootstrap_servers(self) -> str:
        """Its address."""
        return self._broker.bootstrap_servers

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._stop_marker_writer()
        self._send(signal.SIGKILL)
        self._broker.stop()

    def restart(self) -> None:
        """Start it again after `kill`."""
        self._broker = EmbeddedBroker(port=self._port, data_dir=self._folder).start()
        self._marker_writer = SkippedMarkerWriter(self.bootstrap_servers, self._broker.log_file.read_text)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within the block, it accepts connections but answers nothing."""
        self._send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._send(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it for good."""
        self._stop_marker_writer()
        self._broker.stop()

    def _send(self, number: signal.Signals) -> None:
        (java,) = java_processes(self._folder)
        os.kill(java, number)

    def _stop_marker_writer(self) -> None:
        if self._marker_writer is not None:
            self._marker_writer.stop()
