"""librdkafka: a gzip batch is unpacked even if it is then larger than receive.message.max.bytes.

Argument: HOST:PORT of a broker.
"""

import sys
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

UNPACKED_BYTES = 16 * 1024 * 1024
LIMIT_BYTES = 2 * 1024 * 1024


def main(broker: str) -> bool:
    """Whether a consumer with a limit of 2 MiB returns a value of 16 MiB."""
    topic = f"bomb-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": broker})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(20)
    producer = Producer(
        {"bootstrap.servers": broker, "compression.type": "gzip", "message.max.bytes": 2 * UNPACKED_BYTES}
    )
    producer.produce(topic, bytes(UNPACKED_BYTES), partition=0)
    producer.flush(20)
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": uuid4().hex,
            "fetch.max.bytes": LIMIT_BYTES // 2,
            "fetch.message.max.bytes": LIMIT_BYTES // 2,
            "message.max.bytes": LIMIT_BYTES // 2,
            "receive.message.max.bytes": LIMIT_BYTES,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(20)
    outcome = "nothing" if message is None else message.error() or f"a value of {len(message.value() or b'')} bytes"
    consumer.close()
    print(f"expected: an error, because receive.message.max.bytes is {LIMIT_BYTES}\nhappened: {outcome}")
    return str(UNPACKED_BYTES) in str(outcome)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
