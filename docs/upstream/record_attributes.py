"""kafka-python and aiokafka: the attributes of a record are one byte, but are read as a varint. No arguments.

Kafka ignores this byte. If its highest bit is set, the libraries take the next byte for a part of the attributes.
"""

import struct
import sys

from aiokafka.record.default_records import DefaultRecordBatch as AiokafkaBatch
from crc32c import crc32c
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecordsBuilder

HEADER_BYTES = 61
CRC_AT, CHECKED_FROM = 17, 21
ATTRIBUTES_AT = HEADER_BYTES + 1
"""After the record's length."""


def read(kind: type, data: bytes | bytearray) -> str:
    """The first record's fields, or the error."""
    try:
        record = next(iter(kind(bytearray(data))))
    except Exception as error:  # noqa: BLE001 - each library raises its own error
        return repr(error)
    return f"offset {record.offset}, key {record.key}, value {record.value}"


def main() -> bool:
    """Whether both libraries misread the record."""
    builder = MemoryRecordsBuilder(2, 0, 1 << 20)
    builder.append(timestamp=1_763_000_000_000, key=b"key", value=b"value", headers=[])
    builder.close()
    data = bytearray(builder.buffer())
    data[ATTRIBUTES_AT] = 0x80
    struct.pack_into(">I", data, CRC_AT, crc32c(bytes(data[CHECKED_FROM:])))
    expected = "offset 0, key b'key', value b'value'"
    outcomes = {"kafka-python": read(DefaultRecordBatch, data), "aiokafka": read(AiokafkaBatch, data)}
    print(f"expected: {expected}\nhappened: {outcomes}")
    return expected not in outcomes.values()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
