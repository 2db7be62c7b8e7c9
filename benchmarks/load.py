"""A steady load, `python -m benchmarks.load SERVERS TOPIC POOL RATE SECONDS`: writes events at a rate, every 5 ms.

POOL is a file with a value in each line, for the partitions in turn. Prints how many it wrote, and how long that took.

What it sends is built before the clock starts, and gets its timestamps as it is sent: a producer, which builds batches
of single events, takes more than half a core of those that the measured have.
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

from benchmarks.events import PARTITIONS

_TICK_S = 0.005
_IN_FLIGHT = 5
_TIMEOUT_S = 30
_RECEIVED_BYTES = 65536
_UNBOUNDED = 1 << 30
_VERSION = 9
"""Of the request: what brokers since 2.4 understand."""
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
    """Events of one partition that are sent together; they are from the moment at which they are stamped."""

    def __init__(self, values: list[bytes]) -> None:
        builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=_UNBOUNDED)
        for value in values:
            builder.append(timestamp=0, key=None, value=value)
        builder.close()
        self.events = len(values)
        self._bytes = bytearray(builder.buffer())

    def stamped(self, at_ms: int) -> bytes:
        """As it is sent at this moment."""
        _TIMESTAMPS.pack_into(self._bytes, _TIMESTAMPS_AT, at_ms, at_ms)
        _CRC.pack_into(self._bytes, _CRC_AT, crc32c(memoryview(self._bytes)[_COVERED_FROM:]))
        return bytes(self._bytes)


def _batches(values: list[bytes], size: int) -> list[_Batch]:
    return [_Batch(values[first : first + size]) for first in range(0, len(values), size)]


def main() -> None:
    """Write, and say how many."""
    server, topic, pool, rate, seconds = sys.argv[1:]
    per_second = float(rate) / PARTITIONS
    values = Path(pool).read_bytes().splitlines()
    together = max(1, int(per_second * _TICK_S))
    turns = cycle(zip(*(_batches(values[part::PARTITIONS], together) for part in range(PARTITIONS)), strict=True))
    connection = _Connection(server)
    written, wanted = 0, int(per_second * float(seconds))
    begin = time.perf_counter()
    while written < wanted:
        while written < (time.perf_counter() - begin) * per_second:
            batches = next(turns)
            now_ms = int(time.time() * 1000)
            connection.send(topic, [batch.stamped(now_ms) for batch in batches])
            written += batches[0].events
        time.sleep(_TICK_S)  # the pace
    connection.wait(0)
    print(written * PARTITIONS, time.perf_counter() - begin)


if __name__ == "__main__":
    main()
