"""A proxy between a client and one broker, which can change, delay or drop requests and answers.

Other scripts in this folder import it if a broker has to fail in a particular way. In the broker's answers it replaces
the broker's port by its own, so that clients connect to the proxy only.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

PRODUCE, FETCH, HEARTBEAT, INIT_PRODUCER_ID, ADD_OFFSETS_TO_TXN, END_TXN, TXN_OFFSET_COMMIT = 0, 1, 12, 22, 25, 26, 28
"""Kafka's API keys, the numbers of its requests: https://kafka.apache.org/protocol#protocol_api_keys."""
Answer = Callable[[int, bytes], bytes | None]
"""Called with the request's API key and the broker's answer; returns the answer for the client, or None for none."""


class Proxy:
    """Serves on its own port until the `with` block ends; `on_answer` may be replaced at any time."""

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
