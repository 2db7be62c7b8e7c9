"""An idempotent producer that continues after its records expired, and that says when it cannot.

Symptom: after brokers were unavailable for longer than the delivery timeout, an idempotent producer never sends again.
Upstream: `kafka.producer.transaction_manager.TransactionManager.reset_producer_id` in 3.0.12. It gives the producer id
up when records expired in flight, but leaves the state `INITIALIZING`, in which no new id is requested. And any
unexpected answer to InitProducerId, such as the UNKNOWN_SERVER_ERROR of a broker with a full disk, is a fatal error of
the producer, of which there is no public way to learn.
Found by: `make soak` (an outage of more than two minutes; a full disk).
Can go when: a producer requests a new id by itself, and its fatal state is public.
"""

from kafka import KafkaProducer
from kafka.producer.transaction_manager import TransactionState


def patch_producer_id_reset(producer: KafkaProducer) -> None:
    """Let an idempotent producer request a new producer id after it has given one up."""
    manager = producer._transaction_manager
    reset = manager.reset_producer_id

    def reset_producer_id() -> None:
        reset()
        manager._current_state = TransactionState.UNINITIALIZED  # in which it requests an id

    manager.reset_producer_id = reset_producer_id


def has_fatal_error(producer: KafkaProducer) -> bool:
    """Whether an idempotent producer fails every record from now on, and has to be replaced."""
    return bool(producer._transaction_manager.has_fatal_error())
