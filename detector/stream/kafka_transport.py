"""A connection of kafka-python's that receives what is there, and not 4 KiB of it at a time."""

import socket
from typing import Any

from kafka.net.compat import KafkaNetClient
from kafka.net.transport import KafkaTCPTransport

_PIECE_BYTES = 256 * 1024


def receive_in_large_pieces(client: KafkaNetClient) -> None:
    """Let a client's connections ask the system for as much as a fetch may bring.

    kafka-python 3.0.12 receives 4 KiB a call, and each call gives up the interpreter: with a loop that computes beside
    it, its thread waits for its turn five hundred times for each fetch. Under TLS a call gives one of TLS's own records
    of 16 KiB at most: those connections stay as they are.
    """
    manager = client._manager  # noqa: SLF001 - there is no public way to any of this
    build = manager._build_transport  # noqa: SLF001

    async def build_transport(*args: Any, **options: Any) -> KafkaTCPTransport:
        transport = await build(*args, **options)
        if type(transport) is KafkaTCPTransport:
            transport._sock = _Socket.in_place_of(transport._sock)  # noqa: SLF001
        return transport

    manager._build_transport = build_transport  # noqa: SLF001


class _Socket(socket.socket):
    @classmethod
    def in_place_of(cls, other: socket.socket) -> "_Socket":
        timeout = other.gettimeout()
        mine = cls(fileno=other.detach())
        mine.settimeout(timeout)
        return mine

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        return super().recv(max(size, _PIECE_BYTES), flags)
