"""A broker that a test may hurt."""

import os
import signal

from detector.local.broker import EmbeddedBroker
from tests.faults.operator import Operator
from tests.helpers import java_processes


class Hurt:
    """A broker of this test's own, that can be killed, frozen and started again where it was."""

    def __init__(self, folder) -> None:
        self._folder = folder
        self._operator: Operator | None = None
        self.broker = EmbeddedBroker(data_dir=folder).start()
        self.port = int(self.broker.bootstrap_servers.rpartition(":")[2])

    def signal(self, number) -> None:
        (java,) = java_processes(self._folder)
        os.kill(java, number)

    def kill(self) -> None:
        self._dismiss()
        self.signal(signal.SIGKILL)
        self.broker.stop()

    def start(self) -> None:
        self.broker = EmbeddedBroker(port=self.port, data_dir=self._folder).start()
        self._operator = Operator(self.broker.bootstrap_servers, self.broker.log_file.read_text)

    def stop(self) -> None:
        self._dismiss()
        self.broker.stop()

    def _dismiss(self) -> None:
        if self._operator is not None:
            self._operator.stop()
