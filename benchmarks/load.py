"""A steady load, `python -m benchmarks.load SERVER TOPIC POOL PARTITIONS RATE SECONDS`: writes events every 5 ms.

POOL is a file with a value in each line, for the partitions in turn. Prints how many it wrote, and how long that took.

An event's timestamp is when it was due. If the broker or this process is late, that is part of its latency.

What it sends is built before the clock starts: a producer, which builds batches of single events, takes more than half
a core of those that the measured have.
"""

import socket
import struct
import sys
import time
from itertools import cycle
from pathlib import Path

from crc32c import crc32c
from kafka.errors import for_code
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.producer import ProduceRequest
from kafka.record.memory_records import MemoryRecordsBuilder

_TICK_S = 0.005
_IN_FLIGHT = 5
_TIMEOUT_S = 30
_RECEIVED_BYTES = 65536
_UNBOUNDED = 1 << 30
_VERSION = 9
"""Of the request: what brokers since 2.8 understand."""
_CRC = struct.Struct(">I")
_CRC_AT, _COVERED_FROM = 17, 21
_TIMESTAMPS = struct.Struct(">qq")
_TIMESTAMPS_AT = 27
"""In a record batch: https://kafka.apache.org/documentation/#recordbatch, base timestamp and max timestamp."""


class _Connection:
    """To the broker that leads every partition."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = KafkaProtocol(client_id="load")

    def send(self, topic: str, batches: list[bytes]) -> None:
        """Send a partition's batch to each; waits while five requests are not answered."""
        self.wait(_IN_FLIGHT - 1)
        partitions = [
            ProduceRequest.TopicProduceData.PartitionProduceData(index=partition, records=batch)
            for partition, batch in enumerate(batches)
        ]
        request = ProduceRequest(
            transactional_id=None,
            acks=-1,
            timeout_ms=_TIMEOUT_S * 1000,
            topic_data=[ProduceRequest.TopicProduceData(name=topic, partition_data=partitions)],
        )
        request.API_VERSION = _VERSION
        self._protocol.send_request(request)
        self._socket.sendall(self._protocol.send_bytes())

    def wait(self, left: int) -> None:
        """Wait until no more requests than this are not answered.

        Raises:
            KafkaError: the broker refused one.
        """
        while len(self._protocol.in_flight_requests) > left:
            received = self._socket.recv(_RECEIVED_BYTES)
            if not received:
                raise ConnectionError("the broker closed the connection")
            for _, answer in self._protocol.receive_bytes(received):
                for partition in answer.responses[0].partition_responses:
                    if partition.error_code:
                        raise for_code(partition.error_code)


class _Batch:
    """Events of one partition that are due together."""

    def __init__(self, values: list[bytes]) -> None:
        builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=_UNBOUNDED)
        for value in values:
            builder.append(timestamp=0, key=None, value=value)
        builder.close()
        self.events = len(values)
        self._bytes = bytearray(builder.buffer())

    def stamped(self, at_ms: int) -> bytes:
        """With this timestamp for each of its events."""
        _TIMESTAMPS.pack_into(self._bytes, _TIMESTAMPS_AT, at_ms, at_ms)
        _CRC.pack_into(self._bytes, _CRC_AT, crc32c(memoryview(self._bytes)[_COVERED_FROM:]))
        return bytes(self._bytes)


def _batches(values: list[bytes], size: int) -> list[_Batch]:
    return [_Batch(values[first : first + size]) for first in range(0, len(values), size)]


def main() -> None:
    """Write, and say how many."""
    server, topic, pool, *numbers = sys.argv[1:]
    partitions, rate, seconds = int(numbers[0]), float(numbers[1]), float(numbers[2])
    per_second = rate / partitions
    values = Path(pool).read_bytes().splitlines()
    together = max(1, int(per_second * _TICK_S))
    turns = cycle(zip(*(_batches(values[part::partitions], together) for part in range(partitions)), strict=True))
    connection = _Connection(server)
    written, wanted = 0, int(per_second * seconds)
    begin, begin_ms = time.perf_counter(), time.time() * 1000
    while written < wanted:
        due_s = written / per_second
        time.sleep(max(0.0, due_s - (time.perf_counter() - begin)))
        batches = next(turns)
        connection.send(topic, [batch.stamped(int(begin_ms + due_s * 1000)) for batch in batches])
        written += batches[0].events
    connection.wait(0)
    print(written * partitions, time.perf_counter() - begin)


if __name__ == "__main__":
    main()
