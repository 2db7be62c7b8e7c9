"""The steps of a transaction end at their deadline."""

import time

import pytest
from kafka import KafkaProducer
from kafka import errors as kafka_errors
from kafka.producer.transaction_manager import TransactionalRequestResult
from kafka.structs import ConsumerGroupMetadata

from detector.stream.kafka_python.patches import transaction_timeouts


@pytest.fixture
def producer(kafka, monkeypatch):
    """A transactional producer whose coordinator answers no request."""
    opened = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"{kafka.group_id}-test")
    for request in ("send_offsets_to_transaction", "begin_commit", "begin_abort"):
        monkeypatch.setattr(opened._transaction_manager, request, lambda *_: TransactionalRequestResult())
    yield opened
    opened.close(timeout=5)


@pytest.mark.parametrize(
    "step",
    [
        lambda producer, at: transaction_timeouts.send_offsets(producer, {}, ConsumerGroupMetadata("group"), at),
        transaction_timeouts.commit,
        transaction_timeouts.abort,
    ],
    ids=["send_offsets", "commit", "abort"],
)
def test_step_ends_at_its_deadline(producer, step):
    """Otherwise the service could not shut down while the transaction coordinator is unavailable."""
    started = time.monotonic()

    with pytest.raises(kafka_errors.KafkaTimeoutError, match="no answer from the transaction coordinator"):
        step(producer, started + 0.2)

    assert 0.2 <= time.monotonic() - started < 10
