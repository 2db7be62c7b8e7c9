"""kafka-python: send_offsets_to_transaction and commit_transaction wait forever while brokers are unavailable.

Argument: HOST:PORT of a broker.
"""

import sys
import threading
from uuid import uuid4

from kafka import KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from proxy import Proxy

MAX_BLOCK_MS = 3_000
WAITED_S = 5.0


def started(broker: str, topic: str) -> KafkaProducer:
    """A producer in a transaction with one record; each of its timeouts is shorter than `WAITED_S`."""
    producer = KafkaProducer(
        bootstrap_servers=broker,
        transactional_id=uuid4().hex,
        max_block_ms=MAX_BLOCK_MS,
        transaction_timeout_ms=1_000,
        delivery_timeout_ms=1_500,
        request_timeout_ms=1_000,
    )
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"value").get(timeout=20)
    return producer


def main(broker: str) -> bool:
    """Whether both calls still wait after all timeouts are over."""
    topic = f"transaction-{uuid4().hex}"
    offsets = {TopicPartition(topic, 0): OffsetAndMetadata(1, "", -1)}
    with Proxy(broker) as proxy:
        first, second = started(proxy.address, topic), started(proxy.address, topic)
    # From here on the connections are closed, and no new one is accepted.
    calls = [
        threading.Thread(target=first.send_offsets_to_transaction, args=(offsets, uuid4().hex), daemon=True),
        threading.Thread(target=second.commit_transaction, daemon=True),
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join(WAITED_S / len(calls))
    waiting = [call.is_alive() for call in calls]
    print(f"expected: both calls raise KafkaTimeoutError after max_block_ms, {MAX_BLOCK_MS} ms, as in the Java client")
    print(f"happened: send_offsets_to_transaction and commit_transaction still wait after {WAITED_S:g} s: {waiting}")
    return all(waiting)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
