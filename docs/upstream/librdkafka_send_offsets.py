"""librdkafka: send_offsets_to_transaction ignores its timeout while the group coordinator does not answer.

https://github.com/confluentinc/librdkafka/issues/5456. Argument: HOST:PORT of a broker.
"""

import sys
import threading
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from proxy import Proxy

TIMEOUT_S = 1.0
WAITED_S = 4.0


def main(broker: str) -> bool:
    """Whether the call is still waiting after four times its timeout."""
    topic = f"librdkafka-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": broker})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(20)
    consumer = Consumer({"bootstrap.servers": broker, "group.id": uuid4().hex})
    consumer.subscribe([topic])
    while not consumer.assignment():
        consumer.poll(0.2)
    membership = consumer.consumer_group_metadata()
    with Proxy(broker) as proxy:
        producer = Producer({"bootstrap.servers": proxy.address, "transactional.id": uuid4().hex, "log_level": 0})
        producer.init_transactions(20)
        producer.begin_transaction()
        producer.send_offsets_to_transaction([TopicPartition(topic, 0, 1)], membership, 20)
        producer.commit_transaction(20)
        producer.begin_transaction()
    # From here on the connections are closed, and no new one is accepted.
    call = threading.Thread(
        target=producer.send_offsets_to_transaction,
        args=([TopicPartition(topic, 0, 2)], membership, TIMEOUT_S),
        daemon=True,
    )
    call.start()
    call.join(WAITED_S)
    consumer.close()
    print(f"expected: the call raises _TIMED_OUT after {TIMEOUT_S:g} s")
    print(f"happened: still waiting after {WAITED_S:g} s: {call.is_alive()}")
    return call.is_alive()


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
