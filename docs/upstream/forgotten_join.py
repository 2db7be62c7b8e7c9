"""kafka-python: a group leader forgets a join that it started because its topic changed.

If the join ends between two polls, the leader keeps its old partitions, sends no more heartbeats, and is evicted.

Argument: HOST:PORT of a broker.
"""

import sys
import time
from uuid import uuid4

from kafka import KafkaAdminClient, KafkaConsumer

PARTITIONS = 2
SESSION_TIMEOUT_MS = 6_000
"""The shortest session timeout that brokers permit by default."""


def main(broker: str) -> bool:
    """Whether a member that keeps polling does not get the new partitions and is evicted."""
    topic, group = f"forgotten-{uuid4().hex}", uuid4().hex
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=broker,
        group_id=group,
        metadata_max_age_ms=300,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=500,
    )
    try:
        while not consumer.assignment():
            consumer.poll(timeout_ms=2_000)
        admin.create_partitions({topic: PARTITIONS})
        deadline = time.monotonic() + 1.5 * SESSION_TIMEOUT_MS / 1000
        members, owned = 1, 0
        while members and owned < PARTITIONS and time.monotonic() < deadline:
            consumer.poll(timeout_ms=0)
            owned = len(consumer.assignment())
            time.sleep(0.05)  # the work between two polls
            members = len(admin.describe_groups([group])[group]["members"])
    finally:
        consumer.close()
        admin.close()
    print(f"expected: {PARTITIONS} partitions, 1 member in the group")
    print(f"happened: {owned} partitions, {members} members")
    return owned < PARTITIONS and not members


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
