"""Connections that receive what is available instead of 4 KiB at a time.

Symptom: kafka-python 3.0.12 receives 4 KiB per call, and each call releases the interpreter lock. Beside a main loop
that computes, the client's thread waits for the lock five hundred times for each fetch.
Upstream: `kafka.net.transport.KafkaTCPTransport`. Under TLS a call returns one TLS record of at most 16 KiB, so those
connections are left as they are.
Can go when: the size of a receive can be chosen.
"""

import socket
from typing import Any

from kafka.net.compat import KafkaNetClient
from kafka.net.transport import KafkaTCPTransport

_RECEIVE_BYTES = 256 * 1024


def receive_in_large_pieces(client: KafkaNetClient) -> None:
    """Let a client's connections receive up to 256 KiB per call."""
    manager = client._manager
    build = manager._build_transport

    async def build_transport(*args: Any, **options: Any) -> KafkaTCPTransport:
        transport = await build(*args, **options)
        if type(transport) is KafkaTCPTransport:
            transport._sock = _Socket.in_place_of(transport._sock)
        return transport

    manager._build_transport = build_transport


class _Socket(socket.socket):
    @classmethod
    def in_place_of(cls, other: socket.socket) -> "_Socket":
        timeout = other.gettimeout()
        replacement = cls(fileno=other.detach())
        replacement.settimeout(timeout)
        return replacement

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        return super().recv(max(size, _RECEIVE_BYTES), flags)
