"""Running Prometheus and Alertmanager as processes of a test."""

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def free_address() -> str:
    """HOST:PORT of a port on this machine that is free at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def running(command: Sequence[str], log_file: Path) -> Iterator[None]:
    """Run a server with its output in `log_file`; kill it at the end of the block, also if the block fails."""
    with log_file.open("wb") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            yield
        finally:
            process.kill()
