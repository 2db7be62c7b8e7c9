"""Before a client is made: are the brokers there, and do the topics exist."""

import socket
from collections.abc import Iterable

from detector.settings import split_address

_PROBE_TIMEOUT_S = 2.0


def unreachable(servers: Iterable[str]) -> str | None:
    """Try each server in turn; None as soon as one accepts a connection, else why none does.

    kafka-python says only that it cannot bootstrap, and leaves a thread behind each time it tried.
    """
    reasons = []
    for server in servers:
        host, port = split_address(server)
        try:
            with socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S):
                return None
        except OSError as error:
            reasons.append(f"{server}: {error.strerror or error}")
    return "; ".join(reasons)


def how_to_create(topic: str, bootstrap_servers: str) -> str:
    """The command that creates a missing topic."""
    return (
        f"kafka-topics.sh --bootstrap-server {bootstrap_servers} --create --topic {topic} --partitions 4 "
        "--config max.message.bytes=12582912"
    )
