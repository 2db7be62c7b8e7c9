"""kafka-python: ssl_ciphers is accepted but has no effect, and the admin client rejects it. No arguments."""

import socket
import struct
import sys
import threading

from kafka import KafkaAdminClient, KafkaConsumer

WANTED = "ECDHE-RSA-AES128-GCM-SHA256"
WANTED_NUMBER = 0xC02F
TLS_1_3 = range(0x1300, 0x1400)
SIGNALLING = 0x00FF
SESSION_AT = 43
"""In a ClientHello: after the headers of record (5 bytes) and handshake (4), the version (2) and random bytes (32)."""


def offered(hello: bytes) -> set[int]:
    """The TLS 1.2 cipher suites of a ClientHello."""
    at = SESSION_AT + 1 + hello[SESSION_AT]
    (size,) = struct.unpack_from(">H", hello, at)
    return {suite for (suite,) in struct.iter_unpack(">H", hello[at + 2 : at + 2 + size])} - {*TLS_1_3, SIGNALLING}


def main() -> bool:
    """Whether a consumer offers cipher suites that it must not use, and the admin client rejects the option."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = {"bootstrap_servers": f"127.0.0.1:{server.getsockname()[1]}", "security_protocol": "SSL"}
        options |= {"ssl_ciphers": WANTED}
        # On a thread, because nobody answers its hello.
        threading.Thread(target=KafkaConsumer, kwargs=options, daemon=True).start()
        connection, _ = server.accept()
        with connection:
            hello = connection.recv(16_384)
            admin = "made"
            try:
                KafkaAdminClient(**options)
            except Exception as error:  # noqa: BLE001 - any error is printed below
                admin = repr(error)
    suites = offered(hello)
    print(f"expected: one suite is offered, {WANTED_NUMBER:#x} ({WANTED}), and the admin client accepts the option")
    print(f"happened: {len(suites)} suites are offered; admin client: {admin}")
    return suites != {WANTED_NUMBER} and "ssl_ciphers" in admin


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
