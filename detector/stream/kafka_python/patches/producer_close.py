"""A producer that closes within its timeout.

Symptom: `KafkaProducer.close(timeout)` raises KafkaTimeoutError when its flush takes too long, and leaves the producer
open. Garbage collection then closes it again, which takes another second and prints a traceback at the interpreter's
exit.
Upstream: `kafka.producer.kafka.KafkaProducer.close` in 3.0.12: an exception of `flush` skips the rest.
Can go when: `close` always closes.
"""

from kafka import KafkaProducer
from kafka import errors as kafka_errors


def close_producer(producer: KafkaProducer, timeout_s: float) -> None:
    """Close a producer within the timeout; records that are still in flight may be lost."""
    try:
        producer.close(timeout=timeout_s)
    except kafka_errors.KafkaTimeoutError:
        producer._sender.force_close()  # the last step of its `close`
        producer._closed = True
