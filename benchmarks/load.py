"""The load generator: `python -m benchmarks.load SERVER TOPIC POOL PARTITIONS RATE SECONDS`.

Writes a burst of events every 5 ms. POOL is a file with one value per line, written round-robin to the partitions.
Prints the number of events and the seconds that writing them took.

An event's timestamp is the time at which it was due, so delays of the broker or of this process are part of the
latency.

All record batches are built before the load starts. A producer that builds batches from single events would take more
than half a core away from the measured system.
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

_BURST_INTERVAL_S = 0.005
_IN_FLIGHT = 5
_TIMEOUT_S = 30
_RECEIVED_BYTES = 65536
_UNBOUNDED = 1 << 30
_VERSION = 9
"""Version of the produce request; brokers since 2.8 support it."""
_CRC = struct.Struct(">I")
_CRC_OFFSET, _CRC_START = 17, 21
_TIMESTAMPS = struct.Struct(">qq")
_TIMESTAMPS_OFFSET = 27
"""Offset of base timestamp and max timestamp in a record batch: https://kafka.apache.org/documentation/#recordbatch."""


class _Connection:
    """A connection to the broker, which leads every partition."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = KafkaProtocol(client_id="load")

    def send(self, topic: str, batches: list[bytes]) -> None:
        """Send one batch to each partition; first wait until fewer than five requests are in flight."""
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

    def wait(self, in_flight: int) -> None:
        """Wait until at most this many requests are in flight.

        Raises:
            KafkaError: the broker rejected a request.
        """
        while len(self._protocol.in_flight_requests) > in_flight:
            received = self._socket.recv(_RECEIVED_BYTES)
            if not received:
                raise ConnectionError("the broker closed the connection")
            for _, response in self._protocol.receive_bytes(received):
                for partition in response.responses[0].partition_responses:
                    if partition.error_code:
                        raise for_code(partition.error_code)


class _Batch:
    """A record batch with the events of one partition that are due at the same time."""

    def __init__(self, values: list[bytes]) -> None:
        builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=_UNBOUNDED)
        for value in values:
            builder.append(timestamp=0, key=None, value=value)
        builder.close()
        self.events = len(values)
        self._bytes = bytearray(builder.buffer())

    def stamped(self, at_ms: int) -> bytes:
        """The bytes of the batch, with this timestamp for all of its events."""
        _TIMESTAMPS.pack_into(self._bytes, _TIMESTAMPS_OFFSET, at_ms, at_ms)
        _CRC.pack_into(self._bytes, _CRC_OFFSET, crc32c(memoryview(self._bytes)[_CRC_START:]))
        return bytes(self._bytes)


def _batches(values: list[bytes], size: int) -> list[_Batch]:
    return [_Batch(values[first : first + size]) for first in range(0, len(values), size)]


def main() -> None:
    """Write the load; print the number of events and the seconds."""
    server, topic, pool, *numbers = sys.argv[1:]
    partitions, rate, seconds = int(numbers[0]), float(numbers[1]), float(numbers[2])
    per_second = rate / partitions
    values = Path(pool).read_bytes().splitlines()
    burst = max(1, int(per_second * _BURST_INTERVAL_S))
    bursts = cycle(
        zip(*(_batches(values[partition::partitions], burst) for partition in range(partitions)), strict=True)
    )
    connection = _Connection(server)
    written, total = 0, int(per_second * seconds)
    begin, begin_ms = time.perf_counter(), time.time() * 1000
    while written < total:
        due_s = written / per_second
        time.sleep(max(0.0, due_s - (time.perf_counter() - begin)))
        batches = next(bursts)
        connection.send(topic, [batch.stamped(int(begin_ms + due_s * 1000)) for batch in batches])
        written += batches[0].events
    connection.wait(0)
    print(written * partitions, time.perf_counter() - begin)


if __name__ == "__main__":
    main()
