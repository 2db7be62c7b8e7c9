"""One connection to a broker, up to the authentication, with a separate error for each way in which it can fail.

While the client libraries bootstrap, they do not report why it fails, and retry forever even if it can never succeed.
"""

import socket
import ssl
import struct
from contextlib import closing
from typing import Any

from detector.settings import KafkaSettings
from detector.settings.names import split_address
from detector.stream.interfaces import StreamError
from detector.stream.tls import describe_tls_alert, describe_untrusted, tls_context, uses_tls

_CONNECT_TIMEOUT_S = 2.0
_RESPONSE_TIMEOUT_S = 10.0
_ALERT_TIMEOUT_S = 2.0
_MIN_RESPONSE_BYTES, _MAX_RESPONSE_BYTES = 4, 1024 * 1024
"""The correlation id; far more than any cluster's list of brokers."""
_METADATA, _SASL_HANDSHAKE, _SASL_AUTHENTICATE = 3, 17, 36
_NONE, _UNSUPPORTED_SASL_MECHANISM, _ILLEGAL_SASL_STATE = 0, 33, 34
_NOT_KAFKA = "the response is not Kafka's protocol"
_CHECKED_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def advertised_brokers(server: str, kafka: KafkaSettings) -> list[str]:
    """Connect to a broker and authenticate as the client library will.

    Returns:
        The advertised addresses of the cluster's brokers; empty for a SASL mechanism that is not checked here (GSSAPI).

    Raises:
        OSError: it is unreachable or does not respond; waiting may help.
        StreamError: it rejects this client, or this client must not trust it; waiting cannot help.
    """
    with closing(_connect(server, kafka)) as connection:
        broker = _Broker(connection)
        try:
            error, offered = broker.sasl_handshake(kafka.sasl_mechanism or "PLAIN")
        except ConnectionError:
            _explain_closed_connection(server, kafka)
            raise
        except ssl.SSLError as alert:
            raise StreamError(f"{server}: {describe_tls_alert(alert, kafka)}") from alert
        _check_protocol(server, kafka, error, offered)
        if kafka.security_protocol.startswith("SASL"):
            if kafka.sasl_mechanism not in _CHECKED_MECHANISMS:
                return []
            _authenticate(broker, server, kafka)
        return broker.advertised()


def _connect(server: str, kafka: KafkaSettings) -> socket.socket:
    connection = _tcp(server)
    if not uses_tls(kafka):
        return connection
    try:
        return tls_context(kafka).wrap_socket(connection, server_hostname=split_address(server)[0].rstrip("."))
    except ssl.SSLCertVerificationError as error:
        raise StreamError(f"{server}: {describe_untrusted(error)}") from error
    except (ssl.SSLError, ConnectionError) as error:
        _raise_if_plaintext(server, kafka)
        if isinstance(error, ssl.SSLEOFError | ConnectionError):
            raise
        raise StreamError(f"{server}: {describe_tls_alert(error, kafka)}") from error


def _tcp(server: str) -> socket.socket:
    connection = socket.create_connection(split_address(server), timeout=_CONNECT_TIMEOUT_S)
    connection.settimeout(_RESPONSE_TIMEOUT_S)
    return connection


def _check_protocol(server: str, kafka: KafkaSettings, error: int, offered: list[str]) -> None:
    """Compare the listener's protocol with DETECTOR_KAFKA__SECURITY_PROTOCOL."""
    transport = "SSL" if uses_tls(kafka) else "PLAINTEXT"
    wanted = kafka.security_protocol.startswith("SASL")
    if wanted and error == _UNSUPPORTED_SASL_MECHANISM:
        raise StreamError(
            f"{server}: the broker does not enable SASL mechanism {kafka.sasl_mechanism}, only "
            f"{', '.join(sorted(offered))}: set DETECTOR_KAFKA__SASL_MECHANISM to one of these"
        )
    if wanted and error == _ILLEGAL_SASL_STATE:
        raise _wrong_protocol(server, kafka, f"does not use SASL authentication: use {transport}")
    if not wanted and error in (_NONE, _UNSUPPORTED_SASL_MECHANISM):
        raise _wrong_protocol(
            server, kafka, f"requires SASL authentication ({', '.join(sorted(offered))}): use SASL_{transport}"
        )


def _wrong_protocol(server: str, kafka: KafkaSettings, text: str) -> StreamError:
    return StreamError(f"{server}: DETECTOR_KAFKA__SECURITY_PROTOCOL={kafka.security_protocol}, but the broker {text}")


def _authenticate(broker: "_Broker", server: str, kafka: KafkaSettings) -> None:
    from kafka.net.sasl import get_sasl_mechanism  # noqa: PLC0415 - needed for SASL only

    password = kafka.sasl_plain_password.get_secret_value() if kafka.sasl_plain_password else ""
    mechanism = get_sasl_mechanism(kafka.sasl_mechanism)(
        sasl_mechanism=kafka.sasl_mechanism,
        sasl_plain_username=kafka.sasl_plain_username,
        sasl_plain_password=password,
    )
    while not mechanism.is_done():
        error, text, token = broker.authenticate(mechanism.auth_bytes())
        if error:
            raise _rejected_credentials(server, kafka, text)
        try:
            mechanism.receive(token)
        except (ValueError, KeyError) as mismatch:
            raise _rejected_credentials(server, kafka, str(mismatch)) from mismatch


def _rejected_credentials(server: str, kafka: KafkaSettings, text: str) -> StreamError:
    return StreamError(
        f"{server}: credentials rejected for user {kafka.sasl_plain_username!r} (SASL {kafka.sasl_mechanism}): {text}; "
        "check DETECTOR_KAFKA__SASL_PLAIN_USERNAME and DETECTOR_KAFKA__SASL_PLAIN_PASSWORD"
    )


def _explain_closed_connection(server: str, kafka: KafkaSettings) -> None:
    """A broker closed the connection at the first request: raise the reason if it can be found."""
    if uses_tls(kafka):
        # TLS 1.3 checks a client's certificate after the handshake. The broker's alert may be lost when it closes
        # the connection with our request unread. This time nothing is sent, so the alert arrives.
        with closing(_connect(server, kafka)) as connection:
            connection.settimeout(_ALERT_TIMEOUT_S)
            try:
                connection.recv(1)
            except TimeoutError:
                return
            except ssl.SSLError as alert:
                raise StreamError(f"{server}: {describe_tls_alert(alert, kafka)}") from alert
    elif _speaks_tls(server):
        suffix = "SASL_SSL" if kafka.security_protocol.startswith("SASL") else "SSL"
        raise _wrong_protocol(server, kafka, f"expects TLS: use {suffix}")


def _speaks_tls(server: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # only to find out whether there is TLS; nothing is sent
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with closing(_tcp(server)) as connection:
        try:
            with context.wrap_socket(connection):
                return True
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")
        except OSError:
            return False


def _raise_if_plaintext(server: str, kafka: KafkaSettings) -> None:
    with closing(_tcp(server)) as connection:
        try:
            _Broker(connection).sasl_handshake("PLAIN")
        except OSError:
            return
    plain = "SASL_PLAINTEXT" if kafka.security_protocol.startswith("SASL") else "PLAINTEXT"
    raise _wrong_protocol(server, kafka, f"does not use TLS on this port: use its TLS port, or {plain}")


class _Broker:
    """Three requests of Kafka's protocol, in versions that every broker since 1.0 supports."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def sasl_handshake(self, name: str) -> tuple[int, list[str]]:
        """The error code, which shows the kind of listener, and the SASL mechanisms that are enabled."""
        response = self._request(_SASL_HANDSHAKE, 1, _text(name))
        return response.number(">h"), [response.text() for _ in range(response.number(">i"))]

    def authenticate(self, token: bytes) -> tuple[int, str, bytes]:
        """The error code and its text, and the broker's token."""
        response = self._request(_SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
        error, text = response.number(">h"), response.text()
        return error, text, response.take(response.number(">i"))

    def advertised(self) -> list[str]:
        """HOST:PORT of each broker."""
        response = self._request(_METADATA, 1, struct.pack(">i", 0))
        found = []
        for _ in range(response.number(">i")):
            response.number(">i")
            host, port = response.text(), response.number(">i")
            response.text()
            found.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        return found

    def _request(self, api: int, version: int, body: bytes) -> "_Response":
        request = struct.pack(">hhi", api, version, 0) + _text("detector") + body
        self._connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", self._receive(4))
        if not _MIN_RESPONSE_BYTES <= size <= _MAX_RESPONSE_BYTES:
            raise ConnectionError(_NOT_KAFKA)
        return _Response(self._receive(size)[_MIN_RESPONSE_BYTES:])

    def _receive(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            chunk = self._connection.recv(size - len(received))
            if not chunk:
                raise ConnectionError("connection closed by the broker")
            received += chunk
        return received


class _Response:
    """Reads the fields of a response in order."""

    def __init__(self, content: bytes) -> None:
        self._left = content

    def number(self, form: str) -> int:
        value: Any = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return int(value)

    def text(self) -> str:
        return self.take(max(0, self.number(">h"))).decode(errors="replace")

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self._left):
            raise ConnectionError(_NOT_KAFKA)
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded
