"""`/metrics`, `/healthz` and `/readyz`, served on threads of their own. No request changes state."""

import contextlib
import errno
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
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from detector.errors import DetectorError
from detector.process import log_events
from detector.process.health import Health

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_CLIENT_TIMEOUT_S = 10
_MAX_REQUEST_BYTES = 64 * 1024
"""A scrape's request has a few hundred bytes; more than this limit is not read."""
_MAX_CONNECTIONS = 32
"""Each is served on a thread. One more closes the oldest connection, of those with an incomplete request if any."""
_SHUTDOWN_CHECK_EVERY_S = 0.1
"""How often the server checks whether it must shut down. The default of 0.5 s delays the service's shutdown."""


class _Request(io.RawIOBase):
    """The bytes that a client sends. After `_MAX_REQUEST_BYTES` it reports the end of the stream."""

    def __init__(self, connection: io.RawIOBase) -> None:
        self._connection = connection
        self._bytes_left = _MAX_REQUEST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        received = self._connection.readinto(memoryview(buffer)[: self._bytes_left])
        self._bytes_left -= received or 0
        return received


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_TIMEOUT_S
    server: "_Server"

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Request(self.rfile.detach()))

    def get_environ(self) -> dict[str, Any]:
        self.server.request_complete(self.connection)
        return super().get_environ()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's signature
        log_events.HTTP_REQUEST.log(request=format % args)


class _Server(ThreadingMixIn, WSGIServer):
    # With the default of 5, a scrape during a burst of connections waits 1 s or more for a TCP retransmission.
    request_queue_size = 1024

    def __init__(self, family: socket.AddressFamily, *args: Any) -> None:
        self.address_family = family
        self._connections: dict[socket.socket, bool] = {}
        """Open connections, oldest first, and whether their request is complete."""
        self._lock = threading.Lock()
        # A pool: starting a thread for each connection takes milliseconds, and a scrape during a burst waits for all.
        self._workers = ThreadPoolExecutor(_MAX_CONNECTIONS, "http")
        super().__init__(*args)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:  # `::` is for IPv4 too, whatever the system's default is
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._connections) >= _MAX_CONNECTIONS:
                self._close_oldest()
            self._connections[request] = False
        self._workers.submit(self.process_request_thread, request, client_address)

    def request_complete(self, request: socket.socket) -> None:
        """Note that the request of a connection is complete; connections with incomplete requests are closed first.

        Raises:
            ConnectionAbortedError: the connection was closed; its partial request looks complete, but must not be
                answered.
        """
        with self._lock:
            if request not in self._connections:
                raise ConnectionAbortedError("closed to make room for another connection")
            self._connections[request] = True

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Close every connection, so that their threads end: the process would wait for them."""
        super().server_close()
        self._workers.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            while self._connections:
                self._close_oldest()

    def _close_oldest(self) -> None:
        # Slow or idle clients first, so that connections held open do not keep a scrape out.
        incomplete = [connection for connection, complete in self._connections.items() if not complete]
        oldest = (incomplete or list(self._connections))[0]
        del self._connections[oldest]
        with contextlib.suppress(OSError):  # its own thread may be closing it at this moment
            oldest.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's signature
        # Probes that only connect, and clients that disconnect, are normal: no traceback on standard error.
        log_events.HTTP_CLIENT_DISCONNECTED.log(client=str(client_address), error=repr(sys.exception()))


class HttpServer(AbstractContextManager["HttpServer"]):
    """Serves within the `with` block.

    Raises:
        DetectorError: the port is in use, or the address is not one of this host.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health) -> None:
        shown = f"[{host}]" if ":" in host else host
        try:
            family, address = _resolve(host, port)
            self._server = _Server(family, address, _Handler)
        except OSError as error:
            raise DetectorError(f"cannot listen on {shown}:{port}: {error.strerror}; {_remedy(error)}") from error
        self._server.set_app(application(registry, health))
        self.port: int = self._server.server_port
        self.url = f"http://{shown}:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_SHUTDOWN_CHECK_EVERY_S,), name="http", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """The address to listen on; for a name with several, an IPv4 address."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, address


def _remedy(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "set DETECTOR_HTTP__PORT to a free port, or to 0 to let the system choose one"
    if isinstance(error, PermissionError):
        return "set DETECTOR_HTTP__PORT to a port above 1023, or to 0 to let the system choose one"
    return "set DETECTOR_HTTP__HOST to an address of this host, such as 127.0.0.1, or 0.0.0.0 or :: for all of them"


def application(registry: CollectorRegistry, health: Health) -> Callable[..., Iterable[bytes]]:
    """The three endpoints as a WSGI application."""
    metrics = make_wsgi_app(registry)
    checks: dict[str, Callable[[], str | None]] = {
        "/healthz": health.not_alive_reason,
        "/readyz": lambda: health.not_ready_reason,
    }

    def respond(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _text(start_response, "405 Method Not Allowed", "only GET and HEAD are supported")
        if path == "/metrics":
            page: Iterable[bytes] = metrics(environ, start_response)
            return page
        if path not in checks:
            return _text(start_response, "404 Not Found", "the endpoints are /metrics, /healthz and /readyz")
        reason = checks[path]()
        return _text(start_response, "200 OK" if reason is None else "503 Service Unavailable", reason or "ok")

    return respond


def _text(start_response: "StartResponse", status: str, text: str) -> list[bytes]:
    body = f"{text}\n".encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
