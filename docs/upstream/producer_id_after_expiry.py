"""kafka-python: an idempotent producer sends nothing any more after records that it had sent have expired.

It drops its producer id, and then waits for a new id that it never requests. Argument: HOST:PORT of a broker.
"""

import contextlib
import sys
from uuid import uuid4

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from proxy import PRODUCE, Proxy

DELIVERY_TIMEOUT_MS = 1_000


def main(broker: str) -> bool:
    """Whether a record that is sent after an outage neither is acknowledged nor fails."""
    topic = f"expiry-{uuid4().hex}"
    with Proxy(broker) as proxy:
        producer = KafkaProducer(
            bootstrap_servers=proxy.address,
            request_timeout_ms=300,
            delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
            reconnect_backoff_max_ms=100,
        )
        producer.send(topic, b"before").get(timeout=20)
        proxy.on_answer = lambda number, answer: None if number == PRODUCE else answer
        lost = producer.send(topic, b"meanwhile")
        try:
            lost.get(timeout=20)
        except KafkaError as error:
            print(f"the record that was sent during the outage failed, as it should: {error!r}")
        proxy.on_answer = lambda _, answer: answer
        after = producer.send(topic, b"after")
        try:
            after.get(timeout=3 * DELIVERY_TIMEOUT_MS / 1000)
        except KafkaTimeoutError as error:
            outcome = repr(error)
        else:
            outcome = "acknowledged"
        is_done = after.is_done
        with contextlib.suppress(KafkaTimeoutError):
            producer.close(timeout=0)
    print(
        f"expected: the next record is acknowledged, or fails within the delivery timeout of {DELIVERY_TIMEOUT_MS} ms"
    )
    print(f"happened: {outcome}; done: {is_done}")
    return not is_done


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
