"""One connection to a broker by hand, as far as the login: each way to be refused has words of its own.

kafka-python keeps the reason to itself while it bootstraps, and tries for ever what can never succeed.
"""

import socket
import ssl
import struct
from contextlib import closing
from typing import Any

from detector.settings import KafkaSettings, split_address
from detector.stream.interfaces import StreamError
from detector.stream.tls import tls_context, uses_tls, why_distrusted, why_refused

_CONNECT_TIMEOUT_S = 2.0
_ANSWER_TIMEOUT_S = 10.0
_ALERT_TIMEOUT_S = 2.0
_LEAST_ANSWER, _LARGEST_ANSWER = 4, 1024 * 1024
"""Bytes: the number of the request that it answers; far beyond any cluster's list of brokers."""
_METADATA, _SASL_HANDSHAKE, _SASL_AUTHENTICATE = 3, 17, 36
_OK, _OTHER_MECHANISM, _NO_SASL_HERE = 0, 33, 34
_NOT_KAFKA = "what it answers is not Kafka's protocol"
_BY_HAND = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def brokers_behind(server: str, kafka: KafkaSettings) -> list[str]:
    """Connect to a broker and log in as the client will.

    Returns:
        The addresses that the broker gives for the brokers of its cluster; empty when it was not asked.

    Raises:
        OSError: it cannot be reached or does not answer; that may pass.
        StreamError: it is reached and this client is refused, or must refuse it; that does not pass by itself.
    """
    with closing(_connect(server, kafka)) as connection:
        broker = _Broker(connection)
        try:
            error, offered = broker.ask_for_mechanism(kafka.sasl_mechanism or "PLAIN")
        except ConnectionError:
            _explain_hang_up(server, kafka)
            raise
        except ssl.SSLError as alert:
            raise StreamError(f"{server}: {why_refused(alert, kafka)}") from alert
        _compare(server, kafka, error, offered)
        if kafka.security_protocol.startswith("SASL"):
            if kafka.sasl_mechanism not in _BY_HAND:
                return []
            _log_in(broker, server, kafka)
        return broker.cluster()


def _connect(server: str, kafka: KafkaSettings) -> socket.socket:
    connection = _tcp(server)
    if not uses_tls(kafka):
        return connection
    try:
        return tls_context(kafka).wrap_socket(connection, server_hostname=split_address(server)[0].rstrip("."))
    except ssl.SSLCertVerificationError as error:
        raise StreamError(f"{server}: {why_distrusted(error)}") from error
    except (ssl.SSLError, ConnectionError) as error:
        _raise_if_plain(server, kafka)
        if isinstance(error, ssl.SSLEOFError | ConnectionError):
            raise
        raise StreamError(f"{server}: {why_refused(error, kafka)}") from error


def _tcp(server: str) -> socket.socket:
    connection = socket.create_connection(split_address(server), timeout=_CONNECT_TIMEOUT_S)
    connection.settimeout(_ANSWER_TIMEOUT_S)
    return connection


def _compare(server: str, kafka: KafkaSettings, error: int, offered: list[str]) -> None:
    """What the listener is, against what the settings say that it is."""
    transport = "SSL" if uses_tls(kafka) else "PLAINTEXT"
    wanted = kafka.security_protocol.startswith("SASL")
    if wanted and error == _OTHER_MECHANISM:
        raise StreamError(
            f"{server}: offers no SASL mechanism {kafka.sasl_mechanism} but {', '.join(sorted(offered))}: "
            "set DETECTOR_KAFKA__SASL_MECHANISM"
        )
    if wanted and error == _NO_SASL_HERE:
        raise _wrong_protocol(server, kafka, f"asks for no login: use {transport}")
    if not wanted and error in (_OK, _OTHER_MECHANISM):
        raise _wrong_protocol(
            server, kafka, f"asks for a login by {', '.join(sorted(offered)) or 'SASL'}: use SASL_{transport}"
        )


def _wrong_protocol(server: str, kafka: KafkaSettings, text: str) -> StreamError:
    return StreamError(f"{server}: DETECTOR_KAFKA__SECURITY_PROTOCOL={kafka.security_protocol}, but the broker {text}")


def _log_in(broker: "_Broker", server: str, kafka: KafkaSettings) -> None:
    from kafka.net.sasl import get_sasl_mechanism  # noqa: PLC0415 - only who logs in needs it

    password = kafka.sasl_plain_password.get_secret_value() if kafka.sasl_plain_password else ""
    mechanism = get_sasl_mechanism(kafka.sasl_mechanism)(
        sasl_mechanism=kafka.sasl_mechanism,
        sasl_plain_username=kafka.sasl_plain_username,
        sasl_plain_password=password,
    )
    while not mechanism.is_done():
        error, text, token = broker.authenticate(mechanism.auth_bytes())
        if error:
            raise _refused_login(server, kafka, text)
        try:
            mechanism.receive(token)
        except (ValueError, KeyError) as mismatch:
            raise _refused_login(server, kafka, str(mismatch)) from mismatch


def _refused_login(server: str, kafka: KafkaSettings, text: str) -> StreamError:
    return StreamError(
        f"{server}: the login of {kafka.sasl_plain_username!r} by {kafka.sasl_mechanism} is refused: {text}: check "
        "DETECTOR_KAFKA__SASL_PLAIN_USERNAME and DETECTOR_KAFKA__SASL_PLAIN_PASSWORD"
    )


def _explain_hang_up(server: str, kafka: KafkaSettings) -> None:
    """A broker hung up at the first question: raise the reason if one can be found out."""
    if uses_tls(kafka):
        # TLS 1.3 judges a client's certificate after the handshake, and its verdict may have been lost with what was
        # under way: this time nothing is.
        with closing(_connect(server, kafka)) as connection:
            connection.settimeout(_ALERT_TIMEOUT_S)
            try:
                connection.recv(1)
            except TimeoutError:
                return
            except ssl.SSLError as alert:
                raise StreamError(f"{server}: {why_refused(alert, kafka)}") from alert
    elif _answers_tls(server):
        suffix = "SASL_SSL" if kafka.security_protocol.startswith("SASL") else "SSL"
        raise _wrong_protocol(server, kafka, f"speaks TLS: use {suffix}")


def _answers_tls(server: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # for the question whether there is TLS; nothing is sent over it
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with closing(_tcp(server)) as connection:
        try:
            with context.wrap_socket(connection):
                return True
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")
        except OSError:
            return False


def _raise_if_plain(server: str, kafka: KafkaSettings) -> None:
    with closing(_tcp(server)) as connection:
        try:
            _Broker(connection).ask_for_mechanism("PLAIN")
        except OSError:
            return
    plain = "SASL_PLAINTEXT" if kafka.security_protocol.startswith("SASL") else "PLAINTEXT"
    raise _wrong_protocol(server, kafka, f"speaks no TLS: use its TLS port, or {plain}")


class _Broker:
    """Three requests of Kafka's protocol, in versions that every broker since 1.0 answers."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def ask_for_mechanism(self, name: str) -> tuple[int, list[str]]:
        """The error code, which tells what kind of listener this is, and the mechanisms that it offers."""
        answer = self._ask(_SASL_HANDSHAKE, 1, _text(name))
        return answer.number(">h"), [answer.text() for _ in range(answer.number(">i"))]

    def authenticate(self, token: bytes) -> tuple[int, str, bytes]:
        """The error code and its text, and the broker's own token."""
        answer = self._ask(_SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
        error, text = answer.number(">h"), answer.text()
        return error, text, answer.take(answer.number(">i"))

    def cluster(self) -> list[str]:
        """HOST:PORT of each broker."""
        answer = self._ask(_METADATA, 1, struct.pack(">i", 0))
        found = []
        for _ in range(answer.number(">i")):
            answer.number(">i")
            host, port = answer.text(), answer.number(">i")
            answer.text()
            found.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        return found

    def _ask(self, api: int, version: int, body: bytes) -> "_Answer":
        request = struct.pack(">hhi", api, version, 0) + _text("detector") + body
        self._connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", self._receive(4))
        if not _LEAST_ANSWER <= size <= _LARGEST_ANSWER:
            raise ConnectionError(_NOT_KAFKA)
        return _Answer(self._receive(size)[_LEAST_ANSWER:])

    def _receive(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            chunk = self._connection.recv(size - len(received))
            if not chunk:
                raise ConnectionError("it hangs up")
            received += chunk
        return received


class _Answer:
    """The fields of an answer, one after the other."""

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
