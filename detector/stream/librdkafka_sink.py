"""The writing side of the stream over librdkafka: with an idempotent producer, or in transactions."""

import time
import warnings
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from detector.records import OutgoingRecord
from detector.settings import Guarantee, KafkaSettings
from detector.stream.background import in_background, run_within
from detector.stream.interfaces import Batch, PendingTransaction, Refusal, StreamError, TransactionAborted
from detector.stream.kafka_options import TRANSACTION_TIMEOUT_MS
from detector.stream.librdkafka_faults import BEYOND_RETRY, Failures, client_log, explain, is_final
from detector.stream.librdkafka_options import producer_options, transaction_options

# A producer that is given up cannot abort either; who gave it up knows, and its successor ends what it left open.
warnings.filterwarnings("ignore", "Producer abort_transaction failed during close", RuntimeWarning)

_LOOK_S = 0.1
_STEP_S = TRANSACTION_TIMEOUT_MS / 1000
"""For each step of a transaction; after this the brokers abort it by themselves."""
_GONE = {
    KafkaError._TRANSPORT,  # noqa: SLF001 - public all the same
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001 - requests, and the connection was closed for it
}
_AGAIN_S = 0.5
"""Before another start of a producer is tried."""
_PATIENCE_S = 2.0
"""With the group's coordinator, which answers in milliseconds or has been away; twice as long each time in a row."""


class _Outputs:
    """Records handed to a producer, and what it has against them."""

    def __init__(self, producer: Producer, records: Sequence[OutgoingRecord]) -> None:
        self.refused: list[tuple[OutgoingRecord, KafkaError]] = []
        for record in records:
            self._send(producer, record)

    def _send(self, producer: Producer, record: OutgoingRecord) -> None:
        try:
            producer.produce(
                record.topic,
                record.value,
                record.key,
                headers=list(record.headers),
                on_delivery=partial(self._failed, record),
            )
        except KafkaException as error:
            self.refused.append((record, error.args[0]))
        except BufferError:
            self.refused.append((record, KafkaError(KafkaError._QUEUE_FULL)))  # noqa: SLF001 - public all the same

    def _failed(self, record: OutgoingRecord, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self.refused.append((record, error))


class LibrdkafkaSink:
    """Writes alerts and dead letters with an idempotent producer."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._failures = Failures()
        self._producer = Producer(producer_options(kafka) | {"error_cb": self._failures}, logger=client_log())

    def send(self, records: Sequence[OutgoingRecord]) -> "_Pending":
        """See `Sink.send`."""
        return _Pending(self._producer, records, self._failures)

    def close(self, timeout_s: float) -> None:
        """See `Sink.close`."""
        _abandon(self._producer, timeout_s)


class _Pending:
    def __init__(self, producer: Producer, records: Sequence[OutgoingRecord], failures: Failures) -> None:
        self._producer = producer
        self._failures = failures
        self._outputs = _Outputs(producer, records)

    def wait(self, timeout_s: float) -> bool:
        on_their_way: int = self._producer.flush(timeout_s)  # ends the linger
        self._failures.raise_final()
        return not on_their_way

    def refused(self) -> list[Refusal]:
        return [Refusal(record, explain(error), is_final(error)) for record, error in self._outputs.refused]


class _BrokerWentError(Exception):
    """A broker went away while outputs were on their way to it."""


class _Departures:
    """What a producer calls when something is wrong; remembers whether a broker went away.

    The library would write again, with the same epoch, to whoever takes that broker's place. But that one may be late
    with the mark that commits the transaction before, and the late mark also commits what this one has written by then,
    even if it is aborted later: outputs twice (seen on Kafka 4.3.1; KIP-890 is about such marks). A new producer has an
    epoch of its own.
    """

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, error: KafkaError) -> None:
        self.seen = self.seen or error.code() in _GONE


class LibrdkafkaTransactions:
    """Writes with a transactional producer, and makes a new one when the old one is past use.

    The brokers fence whoever is not what it was: the positions are committed for the membership with which the batch
    was read (KIP-447), so a member that lost its partitions meanwhile cannot commit for them.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        # The group's name in front, so that the right to it can be given for a prefix. A named instance keeps its id
        # over a restart and ends at once what it left open; another one's open transaction ends by its timeout.
        transactional_id = f"{kafka.group_id}-{kafka.instance_id or uuid4().hex}"
        self._options = transaction_options(kafka, transactional_id)
        self._departures = _Departures()
        self._producer: Producer | None = None
        self._running: Future[None] | None = None
        self._patience_s = _PATIENCE_S

    def transact(self, batch: Batch, records: Sequence[OutgoingRecord]) -> PendingTransaction:
        """See `TransactionalSink.transact`."""
        refused: list[Refusal] = []
        self._running = in_background(lambda: self._transact(batch, records, refused))
        return _PendingTransaction(self._running, refused)

    def close(self, timeout_s: float) -> None:
        """See `TransactionalSink.close`."""
        # A producer must not be closed under a transaction; one that takes longer ends with the process.
        if (self._running is None or self._running.done()) and self._producer is not None:
            _abandon(self._producer, timeout_s)

    def connect(self) -> Producer:
        """The producer; when it is a new one, nothing of an earlier one with its id is left open.

        Raises:
            KafkaException: the brokers could not be reached in time, or refuse.
        """
        if self._producer is not None:
            return self._producer
        departures = _Departures()
        producer = Producer(self._options | {"error_cb": departures}, logger=client_log())
        try:
            producer.init_transactions(_STEP_S)
        except BaseException:
            _abandon(producer, 0)
            raise
        producer.poll(0)  # delivers the errors that came until here:
        departures.seen = False  # whoever could not be reached was not needed
        self._producer, self._departures = producer, departures
        return producer

    def _transact(self, batch: Batch, records: Sequence[OutgoingRecord], refused: list[Refusal]) -> None:
        if batch.membership is None:
            raise TransactionAborted("this member is in no group")
        producer = self._sound_producer()
        positions = [TopicPartition(*tp, offset) for tp, offset in batch.next_offsets.items()]
        try:
            producer.begin_transaction()
            _write_all(producer, records, refused, self._departures)
            # A coordinator that goes away and comes back is sometimes waited for without an end, whatever the timeout:
            # https://github.com/confluentinc/librdkafka/issues/5456
            adding = in_background(lambda: producer.send_offsets_to_transaction(positions, batch.membership, _STEP_S))
            adding.result(self._patience_s)
            producer.commit_transaction(_STEP_S)
        except _BrokerWentError as error:
            _abandon(producer, 0)
            self._replace()
            raise TransactionAborted("a broker went away") from error
        except TimeoutError as error:
            # The call may never end, so the producer cannot be closed: it is left behind.
            self._patience_s = min(2 * self._patience_s, _STEP_S)
            self._replace()
            raise TransactionAborted("the group's coordinator did not answer in time") from error
        except BaseException:
            self._abort(producer)
            raise
        self._patience_s = _PATIENCE_S

    def _sound_producer(self) -> Producer:
        """One that no broker left since its last transaction."""
        producer = self.connect()
        producer.poll(0)  # delivers the errors that came since
        if not self._departures.seen:
            return producer
        _abandon(producer, 0)
        return self._replace()

    def _abort(self, producer: Producer) -> None:
        try:
            producer.abort_transaction(_STEP_S)
        except KafkaException:
            _abandon(producer, 0)
            self._replace()

    def _replace(self) -> Producer:
        """Go on with another producer, once there is one: its start fences the old one and ends what that left open.

        Only then does anybody ask for the positions, to which the old one may still have added until then.

        Raises:
            KafkaException: the brokers refuse.
        """
        self._producer = None
        while True:
            try:
                return self.connect()
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.fatal() or reason.code() in BEYOND_RETRY:
                    raise
                client_log().warning("%s: no producer can be started: %s", reason.name(), reason.str())
                time.sleep(_AGAIN_S)


class _PendingTransaction:
    def __init__(self, future: "Future[None]", refused: list[Refusal]) -> None:
        self._future = future
        self._refused = refused

    def wait(self, timeout_s: float) -> bool:
        try:
            self._future.result(timeout_s)
        except TimeoutError:
            return False
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() in BEYOND_RETRY:
                raise StreamError(explain(reason)) from error
            raise TransactionAborted(explain(reason), self._refused) from error
        return True


def _write_all(
    producer: Producer, records: Sequence[OutgoingRecord], refused: list[Refusal], departures: _Departures
) -> None:
    """Return when every record is acknowledged; raise as soon as one is refused, with all such put into `refused`.

    Raises:
        _BrokerWentError: a broker did, and not everything was acknowledged.
        KafkaException: a record was refused, or it took too long.
    """
    outputs = _Outputs(producer, records)
    deadline = time.monotonic() + _STEP_S
    while not outputs.refused and producer.flush(_LOOK_S):
        if departures.seen:
            raise _BrokerWentError
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no acknowledgement in time"))  # noqa: SLF001
    refused += [Refusal(record, explain(error), final=False) for record, error in outputs.refused]
    for _, error in outputs.refused:
        raise KafkaException(error)


def _abandon(producer: Producer, timeout_s: float) -> None:
    """Close a producer within the time; records that are still on their way are lost."""
    producer.purge(blocking=False)
    run_within(producer.close, timeout_s)


def librdkafka_sink(kafka: KafkaSettings, guarantee: Guarantee) -> LibrdkafkaSink | LibrdkafkaTransactions:
    """The sink that a guarantee asks for; of transactions, connected.

    Raises:
        KafkaException: the brokers could not be reached in time, or refuse.
    """
    if guarantee == "at-least-once":
        return LibrdkafkaSink(kafka)
    transactions = LibrdkafkaTransactions(kafka)
    transactions.connect()
    return transactions
