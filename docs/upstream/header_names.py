"""kafka-python and aiokafka: one header whose name is not UTF-8 stops all readers of its partition. No arguments.

Kafka stores such a header, and its Java client reads the name with replacement characters.
"""

import struct
import sys

from aiokafka.record.default_records import DefaultRecordBatch as AiokafkaBatch
from crc32c import crc32c
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecordsBuilder

CRC_AT, CHECKED_FROM = 17, 21


def read(kind: type, data: bytes | bytearray) -> str:
    """The first record's headers, or the error."""
    try:
        return str(next(iter(kind(bytearray(data)))).headers)
    except Exception as error:  # noqa: BLE001 - each library raises its own error
        return repr(error)


def main() -> bool:
    """Whether both libraries fail to read the record."""
    builder = MemoryRecordsBuilder(2, 0, 1 << 20)
    builder.append(timestamp=1_763_000_000_000, key=None, value=b"value", headers=[("name", b"x")])
    builder.close()
    data = bytearray(builder.buffer()).replace(b"name", b"n\xffme")
    struct.pack_into(">I", data, CRC_AT, crc32c(bytes(data[CHECKED_FROM:])))
    outcomes = {"kafka-python": read(DefaultRecordBatch, data), "aiokafka": read(AiokafkaBatch, data)}
    print(f"expected: a header with the value b'x'\nhappened: {outcomes}")
    return not any("b'x'" in outcome for outcome in outcomes.values())


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
