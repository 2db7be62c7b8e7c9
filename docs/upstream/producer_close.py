"""kafka-python: KafkaProducer.close(timeout) raises before it has finished, and leaves the producer open.

The close is tried again when the producer is garbage-collected, and at the end of the process.

Argument: HOST:PORT of a broker.
"""

import gc
import sys
import threading
from uuid import uuid4

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError
from proxy import PRODUCE, Proxy


def main(broker: str) -> bool:
    """Whether close raised an error, and was tried again at garbage collection."""
    failures: list[str] = []
    sys.unraisablehook = lambda failure: failures.append(repr(failure.exc_value))
    with Proxy(broker) as proxy:
        producer = KafkaProducer(bootstrap_servers=proxy.address, client_id="closed")
        topic = f"close-{uuid4().hex}"
        producer.partitions_for(topic)
        proxy.on_answer = lambda number, answer: None if number == PRODUCE else answer
        producer.send(topic, b"value")
        try:
            producer.close(timeout=0.3)
        except KafkaTimeoutError as error:
            outcome = repr(error)
        else:
            outcome = "closed"
        threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("closed")]
        del producer
        gc.collect()
    print("expected: close(0.3) closes the producer within 0.3 s, and records that are not acknowledged by then fail")
    print(f"happened: {outcome}; threads left: {threads}; errors at garbage collection: {failures}")
    return outcome != "closed" and bool(failures)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
