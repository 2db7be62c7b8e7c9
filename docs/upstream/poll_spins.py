"""kafka-python: poll() keeps a processor core busy while a heartbeat is unanswered, for example by a frozen broker.

Argument: HOST:PORT of a broker.
"""

import sys
import time
from uuid import uuid4

from kafka import KafkaConsumer
from proxy import Proxy

WATCHED_S = 1.5


def main(broker: str) -> bool:
    """Whether an idle poll takes more than five times the processor time if heartbeats are not answered."""
    topic = f"spins-{uuid4().hex}"
    with Proxy(broker) as proxy:
        consumer = KafkaConsumer(
            topic,
            bootstrap_servers=proxy.address,
            group_id=uuid4().hex,
            heartbeat_interval_ms=200,
            enable_auto_commit=False,
        )
        while not consumer.assignment():
            consumer.poll(timeout_ms=2_000)

        def rest() -> float:
            began = time.process_time()
            consumer.poll(timeout_ms=int(WATCHED_S * 1000))
            return (time.process_time() - began) / WATCHED_S

        answered = rest()
        proxy.on_answer = lambda *_: None
        consumer.poll(timeout_ms=500)  # the next heartbeat is sent
        unanswered = rest()
        proxy.on_answer = lambda _, answer: answer
        consumer.close(autocommit=False, timeout_ms=1_000)
    print(f"expected: an idle poll takes nearly no processor time; with answers it takes {answered:.0%} of a core")
    print(f"happened: while a heartbeat is not answered, it takes {unanswered:.0%} of a core")
    return unanswered > 5 * answered


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
