"""`/metrics`, `/healthz` and `/readyz` on threads of their own; nothing there changes state."""

import contextlib
import io
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

from detector.errors import DetectorError
from detector.service.health import Health

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_log = structlog.get_logger("detector.http")
_CLIENT_TIMEOUT_S = 10
_MAX_REQUEST_BYTES = 64 * 1024
"""A scrape's request has a few hundred; what comes after this many is not read."""
_MAX_CONNECTIONS = 32
"""At once, each on a thread; a new one beyond them ends the one that has been waited for longest."""
_STOP_S = 0.1
"""How long its end may take; half a second of a stop's two beyond the drain is too much."""


class _Request(io.RawIOBase):
    """What a client sends, up to the limit; beyond it the request has ended."""

    def __init__(self, connection: io.RawIOBase) -> None:
        self._connection = connection
        self._left = _MAX_REQUEST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        received = self._connection.readinto(memoryview(buffer)[: self._left])
        self._left -= received or 0
        return received


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_TIMEOUT_S
    server: "_Server"

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Request(self.rfile.detach()))

    def get_environ(self) -> dict[str, Any]:
        self.server.arrived(self.connection)  # called once the request is complete
        return super().get_environ()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is the library's
        _log.debug("http request", request=format % args)


class _Server(ThreadingMixIn, WSGIServer):
    request_queue_size = (
        1024  # with the default of 5, a scrape amid a burst waits for the kernel to try again, 1 s or more
    )

    def __init__(self, *args: Any) -> None:
        self._connections: dict[socket.socket, bool] = {}
        """Open ones, oldest first, and whether their request is complete."""
        self._lock = threading.Lock()
        # Kept, not started for each connection: that takes milliseconds, and a scrape amid a burst waits for them all.
        self._workers = ThreadPoolExecutor(_MAX_CONNECTIONS, "http")
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._connections) >= _MAX_CONNECTIONS:
                self._end_one()
            self._connections[request] = False
        self._workers.submit(self.process_request_thread, request, client_address)

    def arrived(self, request: socket.socket) -> None:
        """A request is complete; from now on its connection is the last to be ended for others.

        Raises:
            ConnectionAbortedError: it was ended; the half of a request looks whole then, and is not to be answered.
        """
        with self._lock:
            if request not in self._connections:
                raise ConnectionAbortedError("ended for another connection")
            self._connections[request] = True

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """End every connection, and with them the threads, which the process would wait for."""
        super().server_close()
        self._workers.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            while self._connections:
                self._end_one()

    def _end_one(self) -> None:
        # Slow or idle clients first: whoever holds connections open does not keep a scrape out.
        waiting = [connection for connection, complete in self._connections.items() if not complete]
        oldest = (waiting or list(self._connections))[0]
        del self._connections[oldest]
        with contextlib.suppress(OSError):  # its thread may be closing it
            oldest.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature is the library's
        # Probes that only connect, and clients that go away, are everyday life, not a traceback on standard error.
        _log.debug("http client went away", client=str(client_address), error=repr(sys.exception()))


class HttpServer(AbstractContextManager["HttpServer"]):
    """Serves from `start` to the end of the `with` block.

    Raises:
        DetectorError: the address is taken or is not one of this host.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health) -> None:
        try:
            self._server = make_server(host, port, application(registry, health), _Server, _Handler)
        except OSError as error:
            raise DetectorError(
                f"cannot listen on {host}:{port}: {error.strerror}: set DETECTOR_HTTP__PORT to a free port, 0 picks one"
            ) from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_STOP_S,), name="http", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def application(registry: CollectorRegistry, health: Health) -> Callable[..., Iterable[bytes]]:
    """The three pages as a WSGI application."""
    metrics = make_wsgi_app(registry)
    checks: dict[str, Callable[[], str | None]] = {
        "/healthz": health.not_alive_because,
        "/readyz": lambda: health.not_ready_because,
    }

    def respond(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _text(start_response, "405 Method Not Allowed", "only GET and HEAD")
        if path == "/metrics":
            page: Iterable[bytes] = metrics(environ, start_response)
            return page
        if path not in checks:
            return _text(start_response, "404 Not Found", "there are /metrics, /healthz and /readyz")
        reason = checks[path]()
        return _text(start_response, "200 OK" if reason is None else "503 Service Unavailable", reason or "ok")

    return respond


def _text(start_response: "StartResponse", status: str, text: str) -> list[bytes]:
    body = f"{text}\n".encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
