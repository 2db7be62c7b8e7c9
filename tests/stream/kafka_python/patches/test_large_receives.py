"""How much a connection receives per call."""

import socket
from contextlib import closing

import pytest
from kafka.net.compat import KafkaNetClient
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from detector.stream.kafka_python.patches.large_receives import receive_in_large_pieces

SENT = 100_000


@pytest.fixture
def sockets():
    """Two connected sockets; the second is non-blocking, as kafka-python's are."""
    sender, receiver = socket.socketpair()
    receiver.settimeout(0)
    yield sender, receiver
    sender.close()
    receiver.close()


def build_transport(transport):
    """The transport as a patched client builds it."""
    client = KafkaNetClient(bootstrap_servers="127.0.0.1:1")

    async def build(*_):
        return transport

    client._manager._build_transport = build
    receive_in_large_pieces(client)
    try:
        client._manager._build_transport().send(None)
    except StopIteration as done:
        return done.value
    finally:
        client.close()


def test_everything_available_is_received_by_one_call(sockets):
    """Otherwise a fetch of 2 MiB would need five hundred calls, and each would wait for the interpreter lock."""
    sender, receiver = sockets
    with closing(build_transport(KafkaTCPTransport(None, receiver))._sock) as patched:
        sender.sendall(bytes(SENT))

        assert len(patched.recv(4096)) == SENT
        with pytest.raises(BlockingIOError):
            patched.recv(4096)


def test_transport_receives_everything(sockets):
    """Otherwise brokers' responses would be lost or cut off, or a closed connection would not be noticed."""
    sender, receiver = sockets
    transport = build_transport(KafkaTCPTransport(None, receiver))
    with closing(transport._sock):
        sender.sendall(b"x" * SENT)

        assert transport._sock_recv() == (b"x" * SENT, None)
        sender.close()
        data, error = transport._sock_recv()
        assert (data, type(error).__name__) == (b"", "KafkaConnectionError")


def test_tls_connection_is_not_changed(sockets):
    """Otherwise the patch would read encrypted bytes, and no TLS connection would work."""
    _, receiver = sockets
    transport = KafkaSSLTransport.__new__(KafkaSSLTransport)
    transport._sock = receiver
    assert build_transport(transport)._sock is receiver
