"""Transactions over librdkafka; `detector.stream.transactions` runs them."""

import time
import warnings
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.background import in_background
from detector.stream.interfaces import Batch, FailedRecord, TransactionAborted
from detector.stream.librdkafka.errors import FATAL_FOR_TRANSACTIONS, client_log, describe
from detector.stream.librdkafka.options import transaction_options
from detector.stream.librdkafka.sink import Outputs, close_producer
from detector.stream.policy import TRANSACTION_TIMEOUT_MS
from detector.stream.transactions import ClientErrors, Transactions

# A producer that is discarded cannot abort; its successor's start aborts the open transaction.
warnings.filterwarnings("ignore", "Producer abort_transaction failed during close", RuntimeWarning)

_POLL_S = 0.1
_STEP_S = TRANSACTION_TIMEOUT_MS / 1000
"""For each step of a transaction; after this time the brokers abort it."""
_COORDINATOR_S = 2.0
"""How long to wait for the group coordinator, which answers within milliseconds unless it is unavailable; doubled after
each timeout, back to this after each success."""
_CONNECTION_LOST = {
    KafkaError._TRANSPORT,  # noqa: SLF001 - public: confluent-kafka's names for the library's own errors begin with _
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001 - requests timed out and the connection was closed
}


def librdkafka_transactions(kafka: KafkaSettings) -> Transactions:
    """A sink with a connected transactional producer.

    Raises:
        KafkaException: the brokers could not be reached in time, or rejected this client.
    """
    errors = ClientErrors(KafkaException, _is_fatal, lambda failure: describe(failure.args[0]))
    coordinator_timeout = _CoordinatorTimeout()
    return Transactions(kafka, lambda transactional_id: _Producer(kafka, transactional_id, coordinator_timeout), errors)


def _is_fatal(failure: KafkaException) -> bool:
    return failure.args[0].code() in FATAL_FOR_TRANSACTIONS


class _CoordinatorTimeout:
    """How long to wait for the group coordinator; outlives the producers."""

    def __init__(self) -> None:
        self.seconds = _COORDINATOR_S

    def double(self) -> None:
        self.seconds = min(2 * self.seconds, _STEP_S)

    def reset(self) -> None:
        self.seconds = _COORDINATOR_S


class _LostConnections:
    """An `error_cb` that remembers whether the connection to a broker was lost.

    librdkafka would write the outputs again, with the same producer epoch, to the broker that takes over. But that
    broker may write the commit marker of the previous transaction late (seen on Kafka 4.3.1; KIP-890 describes such
    markers), and a late marker also commits what the producer has written by then of a transaction that is aborted
    afterwards: duplicates. A new producer has a new epoch, which the late marker does not concern.
    """

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, error: KafkaError) -> None:
        self.seen = self.seen or error.code() in _CONNECTION_LOST


class _Producer:
    can_close_in_transaction = False

    def __init__(self, kafka: KafkaSettings, transactional_id: str, coordinator_timeout: _CoordinatorTimeout) -> None:
        self._coordinator_timeout = coordinator_timeout
        self._lost_connections = _LostConnections()
        self._discarded = self._blocked = self._closed = False
        options = transaction_options(kafka, transactional_id) | {"error_cb": self._lost_connections}
        self._producer = Producer(options, logger=client_log())
        try:
            self._producer.init_transactions(_STEP_S)
        except BaseException:
            self.close(timeout_s=0)
            raise
        self._producer.poll(0)  # delivers the errors until now:
        self._lost_connections.seen = False  # brokers that could not be reached were not needed

    def is_usable(self) -> bool:
        """See `TransactionalProducer.is_usable`: no connection was lost since the last transaction."""
        if self._closed:
            return False
        self._producer.poll(0)  # delivers the errors since then
        return not self._lost_connections.seen

    def is_member(self, batch: Batch) -> bool:
        """See `TransactionalProducer.is_member`."""
        return batch.group_metadata is not None

    def begin(self) -> None:
        """See `TransactionalProducer.begin`."""
        self._producer.begin_transaction()

    def write(self, records: Sequence[OutgoingRecord], failed: list[FailedRecord]) -> None:
        """See `TransactionalProducer.write`."""
        outputs = Outputs(self._producer, records)
        deadline = time.monotonic() + _STEP_S
        while not outputs.failed and self._producer.flush(_POLL_S):
            if self._lost_connections.seen:
                self._discarded = True
                raise TransactionAborted("the connection to a broker was lost")
            if time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no acknowledgement in time"))  # noqa: SLF001
        failed += [FailedRecord(record, describe(error), is_fatal=False) for record, error in outputs.failed]
        for _, error in outputs.failed:
            raise KafkaException(error)

    def add_offsets(self, batch: Batch) -> None:
        """See `TransactionalProducer.add_offsets`.

        When a coordinator fails over, the library's call sometimes never returns, whatever its timeout:
        https://github.com/confluentinc/librdkafka/issues/5456
        """
        offsets = [TopicPartition(*tp, offset) for tp, offset in batch.next_offsets.items()]
        adding = in_background(
            lambda: self._producer.send_offsets_to_transaction(offsets, batch.group_metadata, _STEP_S)
        )
        try:
            adding.result(self._coordinator_timeout.seconds)
        except TimeoutError as error:
            self._discarded = self._blocked = True
            self._coordinator_timeout.double()
            raise TransactionAborted("the group coordinator did not answer in time") from error

    def commit(self) -> None:
        """See `TransactionalProducer.commit`."""
        self._producer.commit_transaction(_STEP_S)
        self._coordinator_timeout.reset()

    def abort(self) -> bool:
        """See `TransactionalProducer.abort`."""
        if not self._discarded:
            try:
                self._producer.abort_transaction(_STEP_S)
            except KafkaException:
                self._discarded = True
        if self._discarded:
            self.close(timeout_s=0)
        return not self._discarded

    def close(self, timeout_s: float) -> None:
        """See `TransactionalProducer.close`; a producer with a blocked call cannot be closed."""
        if not self._blocked and not self._closed:
            self._closed = True
            close_producer(self._producer, timeout_s)
