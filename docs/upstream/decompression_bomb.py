"""kafka-python: a consumer unpacks a compressed batch of any size. Argument: HOST:PORT of a broker."""

import sys
from uuid import uuid4

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

UNPACKED_BYTES = 64 * 1024 * 1024
FETCH_BYTES = 1024 * 1024


def main(broker: str) -> bool:
    """Whether a fetch of at most 1 MiB was unpacked to a value of 64 MiB."""
    topic = f"bomb-{uuid4().hex}"
    producer = KafkaProducer(
        bootstrap_servers=broker, compression_type="gzip", max_request_size=2 * UNPACKED_BYTES, linger_ms=0
    )
    producer.send(topic, bytes(UNPACKED_BYTES), partition=0).get(timeout=20)
    producer.close(timeout=5)

    consumer = KafkaConsumer(
        bootstrap_servers=broker,
        group_id=None,
        auto_offset_reset="earliest",
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    consumer.assign([TopicPartition(topic, 0)])
    sizes = [len(record.value) for records in consumer.poll(timeout_ms=20_000).values() for record in records]
    consumer.close()
    options = [name for name in KafkaConsumer.DEFAULT_CONFIG if "compress" in name]
    print(f"expected: an option that limits the unpacked size, or an error; a fetch has at most {FETCH_BYTES} bytes")
    print(f"happened: no error; such options: {options}; unpacked values of {sizes} bytes")
    return not options and sizes == [UNPACKED_BYTES]


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
