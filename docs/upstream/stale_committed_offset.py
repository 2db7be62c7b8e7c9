"""kafka-python: KafkaConsumer.committed() returns the outdated answer to an earlier call that had timed out.

Argument: HOST:PORT of a broker.
"""

import contextlib
import sys
from uuid import uuid4

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata


def main(broker: str) -> bool:
    """Whether `committed` returns the offset of before the last commit."""
    topic, group = f"committed-{uuid4().hex}", uuid4().hex
    asking, other = (KafkaConsumer(bootstrap_servers=broker, group_id=group) for _ in range(2))
    asked, unrelated = TopicPartition(topic, 0), TopicPartition(topic, 1)
    try:
        other.partitions_for_topic(topic)
        other.assign([asked])
        other.commit({asked: OffsetAndMetadata(1, "", -1)})
        asking.committed(unrelated)  # connects to the coordinator
        with contextlib.suppress(KafkaTimeoutError):
            asking.committed(asked, timeout_ms=0)
        asking.committed(unrelated)  # the broker answers in order, so the answer to the call before has arrived
        other.commit({asked: OffsetAndMetadata(7, "", -1)})
        committed = asking.committed(asked)
        print(f"expected: committed offset 7\nhappened: {committed}; in a second call: {asking.committed(asked)}")
    finally:
        asking.close()
        other.close()
    return committed == 1


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
