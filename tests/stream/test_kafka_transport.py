"""How much a connection receives at once."""

import socket

import pytest
from kafka.net.compat import KafkaNetClient
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from detector.stream.kafka_transport import receive_in_large_pieces

SENT = 100_000


@pytest.fixture
def ends():
    """Two connected sockets, the second as kafka-python has it."""
    sender, receiver = socket.socketpair()
    receiver.settimeout(0)
    yield sender, receiver
    sender.close()
    receiver.close()


def built(transport):
    """The transport as a client builds it that was told to."""
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


def test_what_is_there_is_received_by_one_call(ends):
    """And where nothing is there, nobody waits for it."""
    sender, receiver = ends
    transport = built(KafkaTCPTransport(None, receiver))
    sender.sendall(bytes(SENT))

    assert len(transport._sock.recv(4096)) == SENT
    with pytest.raises(BlockingIOError):
        transport._sock.recv(4096)
    transport._sock.close()


def test_all_of_it_comes_through_the_transport(ends):
    """The library's own loop is still the one that receives."""
    sender, receiver = ends
    transport = built(KafkaTCPTransport(None, receiver))
    sender.sendall(b"x" * SENT)

    assert transport._sock_recv() == (b"x" * SENT, None)
    sender.close()
    data, error = transport._sock_recv()
    assert (data, type(error).__name__) == (b"", "KafkaConnectionError")
    transport._sock.close()


def test_under_tls_nothing_is_changed(ends):
    """A socket of TLS's holds more than a file descriptor."""
    _, receiver = ends
    transport = KafkaSSLTransport.__new__(KafkaSSLTransport)
    transport._sock = receiver
    assert built(transport)._sock is receiver
