"""kafka-python: allow_auto_create_topics=False has no effect: asking for a missing topic creates it.

Argument: HOST:PORT of a broker that creates topics (auto.create.topics.enable, the default).
"""

import contextlib
import sys
from uuid import uuid4

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaTimeoutError


def main(broker: str) -> bool:
    """Whether a producer or a consumer created a topic although the option forbids it."""
    names = {"producer": f"missing-{uuid4().hex}", "consumer": f"missing-{uuid4().hex}"}
    producer = KafkaProducer(bootstrap_servers=broker, allow_auto_create_topics=False, max_block_ms=2_000)
    with contextlib.suppress(KafkaTimeoutError):
        producer.partitions_for(names["producer"])
    producer.close(timeout=5)
    consumer = KafkaConsumer(names["consumer"], bootstrap_servers=broker, allow_auto_create_topics=False)
    consumer.poll(timeout_ms=500)
    consumer.close()
    admin = KafkaAdminClient(bootstrap_servers=broker)
    created = [who for who, name in names.items() if name in admin.list_topics()]
    admin.close()
    print(f"expected: no topic is created\nhappened: topics created by {created}")
    return bool(created)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
