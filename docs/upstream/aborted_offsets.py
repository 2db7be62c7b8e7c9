"""kafka-python: offsets of a transaction that was aborted are committed with the next one.

Argument: HOST:PORT of a broker.
"""

import sys
from uuid import uuid4

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import CommitFailedError
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata


def main(broker: str) -> bool:
    """Whether the group has committed an offset that was only part of an aborted transaction."""
    topic, group = f"aborted-{uuid4().hex}", uuid4().hex
    producer = KafkaProducer(bootstrap_servers=broker, transactional_id=uuid4().hex)
    producer.partitions_for(topic)
    producer.init_transactions()

    producer.begin_transaction()
    stale = ConsumerGroupMetadata(group_id=group, generation_id=1, member_id="evicted")
    try:
        producer.send_offsets_to_transaction({TopicPartition(topic, 0): OffsetAndMetadata(7, "", -1)}, stale)
    except CommitFailedError as error:
        print(f"the brokers reject the offsets of the first transaction, as they should: {error!r}")
    producer.abort_transaction()

    producer.begin_transaction()
    producer.send_offsets_to_transaction({TopicPartition(topic, 1): OffsetAndMetadata(1, "", -1)}, group)
    producer.commit_transaction()
    producer.close(timeout=5)

    consumer = KafkaConsumer(bootstrap_servers=broker, group_id=group)
    committed = [consumer.committed(TopicPartition(topic, partition)) for partition in range(2)]
    consumer.close()
    print(f"expected: committed offsets [None, 1]\nhappened: committed offsets {committed}")
    return committed == [7, 1]


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
