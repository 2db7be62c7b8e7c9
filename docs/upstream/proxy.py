"""A proxy between a client and one broker, which can change, delay or drop requests and answers.

The scripts beside this file use it where a broker has to fail in one particular way. It replaces the broker's port by
its own in what the broker answers, so that clients keep to the proxy.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

PRODUCE, FETCH, HEARTBEAT, INIT_PRODUCER_ID, ADD_OFFSETS_TO_TXN, END_TXN, TXN_OFFSET_COMMIT = 0, 1, 12, 22, 25, 26, 28
"""Kafka's numbers of requests: https://kafka.apache.org/protocol#protocol_api_keys."""
Answer = Callable[[int, bytes], bytes | None]
"""Called with the request's number and the broker's answer; gives what the client gets, or None for no answer."""


class Proxy:
    """Serves on a port of its own until the block ends; `on_answer` may be replaced at any time."""

    def __init__(self, broker: str) -> None:
        host, port = broker.rsplit(":", 1)
        self._broker = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.on_answer: Answer = lambda _, answer: answer

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for opened in self._sockets:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                broker = socket.create_connection(self._broker)
                self._sockets += [client, broker]
                requests: dict[bytes, int] = {}
                for source, target, change in (
                    (client, broker, lambda frame, asked=requests: _remember(frame, asked)),
                    (broker, client, lambda frame, asked=requests: self._answer(frame, asked)),
                ):
                    threading.Thread(target=_pump, args=(source, target, change), daemon=True).start()

    def _answer(self, frame: bytes, requests: dict[bytes, int]) -> bytes | None:
        ours = frame.replace(struct.pack(">i", self._broker[1]), struct.pack(">i", self.port))
        return self.on_answer(requests.pop(frame[:4]), ours)


def _remember(frame: bytes, requests: dict[bytes, int]) -> bytes:
    requests[frame[4:8]] = struct.unpack_from(">h", frame)[0]
    return frame


def _pump(source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes | None]) -> None:
    with suppress(OSError), source, target, source.makefile("rb") as stream:
        while len(size := stream.read(4)) == 4:  # noqa: PLR2004 - a frame's length
            frame = change(stream.read(struct.unpack(">i", size)[0]))
            if frame is not None:
                target.sendall(struct.pack(">i", len(frame)) + frame)
