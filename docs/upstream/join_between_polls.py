"""kafka-python: a join whose answer arrives between two polls is discarded; members with short polls never join.

Argument: HOST:PORT of a broker.
"""

import sys
import time
from uuid import uuid4

from kafka import KafkaAdminClient, KafkaConsumer
from members import polled

LIMIT_S = 3.0
LOOK_S = 0.05
WORK_S = 0.2  # long compared with a poll: an answer arrives between two polls of 0 ms


def share(broker: str, topic: str, poll_ms: int, work_s: float, limit_s: float) -> list[int]:
    """How many of the four partitions each of two members gets within the limit."""
    group = uuid4().hex
    members = [KafkaConsumer(topic, bootstrap_servers=broker, group_id=group) for _ in range(2)]
    try:
        deadline = time.monotonic() + limit_s
        owned: list[int] = []
        with polled(*members, timeout_ms=poll_ms, work_s=work_s):
            while owned != [2, 2] and time.monotonic() < deadline:
                time.sleep(LOOK_S)
                owned = [len(member.assignment()) for member in members]
        return owned
    finally:
        for member in members:
            member.close()


def main(broker: str) -> bool:
    """Whether members that always poll share the partitions, and members that work between polls of 0 ms do not."""
    topic = f"join-{uuid4().hex}"
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.create_topics({topic: {"num_partitions": 4, "replication_factor": 1}})
    admin.close()
    longer, short = share(broker, topic, 1000, 0.0, 10 * LIMIT_S), share(broker, topic, 0, WORK_S, LIMIT_S)
    print(f"expected: two partitions for each member, whatever the timeout of a poll; with polls of 1 s: {longer}")
    print(f"happened: with polls of 0 ms, after {LIMIT_S:g} s: {short}")
    return longer == [2, 2] and short != [2, 2]


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
