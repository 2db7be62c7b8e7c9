"""kafka-python: each call receives only 4 KiB from a connection, and lets another thread run.

Argument: HOST:PORT of a broker.
"""

import socket
import sys
from uuid import uuid4

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

SENT_BYTES = 8 * 1024 * 1024
MIB = 1024 * 1024
SMALL_BYTES = 4096


def main(broker: str) -> bool:
    """Whether no call receives more than 4 KiB."""
    partition = TopicPartition(f"receives-{uuid4().hex}", 0)
    producer = KafkaProducer(bootstrap_servers=broker)
    for _ in range(SENT_BYTES // 500_000):
        producer.send(partition.topic, bytes(500_000), partition=0)
    producer.close(timeout=20)

    received: list[int] = []

    class Counting(socket.socket):
        def recv(self, *args: int) -> bytes:
            data = super().recv(*args)
            received.append(len(data))
            return data

    socket.socket = Counting  # type: ignore[misc]
    consumer = KafkaConsumer(bootstrap_servers=broker, group_id=None, auto_offset_reset="earliest")
    consumer.assign([partition])
    left = SENT_BYTES // 500_000
    while left:
        left -= sum(map(len, consumer.poll(timeout_ms=1_000).values()))
    consumer.close()
    calls = len(received) / (sum(received) / MIB)
    print("expected: a call receives all bytes that have arrived, up to some 100 KiB")
    print(f"happened: at most {max(received)} bytes per call, {calls:.0f} calls per MiB")
    return max(received) <= SMALL_BYTES


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
