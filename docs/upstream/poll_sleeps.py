"""kafka-python: poll() sleeps 100 ms although records are available, if they arrive while it requests more.

Without help this happens about once in a few hundred polls, and more often on a busy machine. To show it at once, this
script delays the polling thread at the critical moment. Argument: HOST:PORT of a broker.
"""

import sys
import time
from uuid import uuid4

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

HELD_UP_S = 0.05
RETRY_BACKOFF_S = 0.1


def main(broker: str) -> bool:
    """Whether a poll slept although the answer to its fetch had arrived."""
    partition = TopicPartition(f"sleeps-{uuid4().hex}", 0)
    producer = KafkaProducer(bootstrap_servers=broker)
    producer.partitions_for(partition.topic)
    consumer = KafkaConsumer(
        bootstrap_servers=broker, group_id=None, auto_offset_reset="earliest", fetch_max_wait_ms=10_000
    )
    consumer.assign([partition])
    consumer.poll(timeout_ms=1_000)  # nothing yet; a fetch is in flight

    send_fetches = consumer._fetcher.send_fetches  # noqa: SLF001 - to delay the thread between its two checks
    sleep, sleeps = time.sleep, []

    def after_a_while() -> None:
        producer.send(partition.topic, b"value", partition=0).get(timeout=20)
        sleep(HELD_UP_S)  # the answer arrives meanwhile
        send_fetches()

    def noted(seconds: float) -> None:
        sleeps.append(seconds)
        sleep(seconds)

    consumer._fetcher.send_fetches = after_a_while  # noqa: SLF001
    time.sleep = noted  # type: ignore[assignment]
    try:
        records = consumer.poll(timeout_ms=1_000)[partition]
    finally:
        time.sleep = sleep
        consumer.close()
        producer.close(timeout=5)
    print(f"expected: {len(records)} record, no sleep\nhappened: {len(records)} record after a sleep of {sleeps} s")
    return RETRY_BACKOFF_S in sleeps


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
