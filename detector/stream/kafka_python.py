"""The stream over kafka-python."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from detector.records import OutgoingRecord, Partition
from detector.settings import KafkaSettings
from detector.stream.interfaces import (
    QUIET_S,
    Batch,
    CommitDone,
    CommitError,
    Listener,
    RebalanceKind,
    Refusal,
    StreamError,
)
from detector.stream.kafka_batches import FetchedBatch, FetchedSequence, Unplaced
from detector.stream.kafka_faults import FATAL, explain, is_final, may_pass
from detector.stream.kafka_fetcher import fetch_quickly
from detector.stream.kafka_group import mend_group
from detector.stream.kafka_options import consumer_options, producer_options
from detector.stream.kafka_records import NullSerializer, close, is_past_use, mend_idempotence, send
from detector.stream.positions import no_position, position_gone
from detector.stream.window import Window

_RETRY_S = 0.1
_REST_S = 0.005
"""Before looking for more when little came: a look takes about a millisecond of processor time, whatever it brings, and
without a rest a trickle of events would keep a core busy."""
_MANY = 10
"""More than one in so many of a full batch is not little."""
FLUSH_S = 0.1


class KafkaPythonSource:
    """Reads the events topic; the settings decide where to start when the group has no position."""

    def __init__(self, kafka: KafkaSettings, listener: Listener) -> None:
        self._reset_policy = kafka.auto_offset_reset
        self._listener = listener
        self._paused = False
        self._open: dict[TopicPartition, list[Unplaced]] = {}
        self._window = Window()
        self._consumer = KafkaConsumer(**consumer_options(kafka))
        self._answered = time.monotonic()
        mend_group(self._consumer)
        fetch_quickly(self._consumer)
        try:
            self._subscribe(kafka.events_topic)
        except BaseException:
            self.close(timeout_s=0)
            raise

    def _subscribe(self, topic: str) -> None:
        # Before subscribing: a member that is elected leader while it knows nothing of the topic assigns no partition
        # to anybody, and nothing corrects it until the metadata expires.
        self._consumer.partitions_for_topic(topic)
        self._consumer.subscribe([topic], listener=_Rebalances(self))

    def poll(self, max_records: int, max_wait_s: float, idle_s: float) -> Batch:
        """See `Source.poll`."""
        self._open = {}
        asked = time.monotonic()
        came = self._take(idle_s, max_records)
        end = self._window.end(asked, time.monotonic(), max_wait_s)
        while self._open:
            room = max_records - sum(map(len, self._open.values()))
            left = end - time.monotonic()
            if room <= 0 or left <= 0:
                break
            if came < max_records // _MANY:
                time.sleep(min(left, _REST_S))
            came = self._take(max(0.0, end - time.monotonic()), room)
        taken, self._open = self._open, {}
        self._window.close(time.monotonic())
        return FetchedBatch(
            FetchedSequence(taken),
            {Partition(*tp): records[-1].offset + 1 for tp, records in taken.items()},
            self._consumer.group_metadata(),
        )

    def commit(self, next_offsets: Mapping[Partition, int], on_done: CommitDone) -> None:
        """See `Source.commit`."""
        offsets = self._owned(next_offsets)
        if not offsets:
            on_done(None)
            return
        try:
            self._consumer.commit_async(offsets, callback=lambda _, outcome: on_done(_commit_error(outcome)))
        except FATAL as error:  # it may be an earlier commit's
            raise StreamError(explain(error)) from error
        except kafka_errors.KafkaError as error:
            on_done(CommitError(explain(error)))

    def commit_now(self, next_offsets: Mapping[Partition, int], timeout_s: float) -> None:
        """See `Source.commit_now`."""
        offsets = self._owned(next_offsets)
        if not offsets:
            return
        try:
            self._consumer.commit(offsets, timeout_ms=int(timeout_s * 1000))
        except kafka_errors.KafkaError as error:
            raise CommitError(explain(error)) from error

    def rewind(self, batch: Batch, timeout_s: float) -> bool:
        """See `Source.rewind`."""
        deadline = time.monotonic() + timeout_s
        for partition, first in batch.first_offsets().items():
            tp = TopicPartition(*partition)
            if tp not in self._consumer.assignment():
                continue
            try:
                committed = self._consumer.committed(tp, timeout_ms=max(0.0, deadline - time.monotonic()) * 1000)
                self._consumer.seek(tp, first if committed is None else committed)
            except kafka_errors.KafkaTimeoutError:
                return False
            except kafka_errors.IllegalStateError:
                continue  # taken away between the two lines
            except kafka_errors.KafkaError as error:
                if not may_pass(error):
                    raise StreamError(explain(error)) from error
                return False
        return True

    def pause(self) -> None:
        """See `Source.pause`."""
        self._paused = True
        self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        """See `Source.resume`."""
        self._paused = False
        self._consumer.resume(*self._consumer.paused())

    def keep_alive(self) -> None:
        """See `Source.keep_alive`."""
        self._poll(0.0, 1)

    def partitions(self) -> frozenset[Partition]:
        """See `Source.partitions`."""
        return frozenset(Partition(*tp) for tp in self._consumer.assignment() or ())

    def lag(self) -> dict[Partition, int]:
        """See `Source.lag`; both ends are known from fetches, so nothing is asked of the broker."""
        lags = {}
        for partition in self.partitions():
            tp = TopicPartition(*partition)
            # A rebalance on the client's own thread may take the partition away between two of these lines.
            with contextlib.suppress(kafka_errors.KafkaError):  # whatever it is, the next poll meets it
                end = self._consumer.highwater(tp)
                position = None if end is None else self._consumer.position(tp, timeout_ms=0)
                if end is not None and position is not None:
                    lags[partition] = max(0, end - position)
        return lags

    def silent_s(self) -> float:
        """See `Source.silent_s`."""
        # Not a connection that only was accepted: a frozen broker's port accepts them too.
        for connection in list(self._consumer._manager._conns.values()):  # noqa: SLF001 - no public way to any of this
            transport = connection.transport
            if connection.connected and transport is not None:
                self._answered = max(self._answered, transport.last_read)
        silent_s = time.monotonic() - self._answered
        if silent_s > QUIET_S:
            self._consumer._cluster.request_update()  # noqa: SLF001
        return silent_s

    def missing_topics(self, topics: Sequence[str]) -> list[str]:
        """Those of the topics that the brokers do not have."""
        return [topic for topic in topics if not self._consumer.partitions_for_topic(topic)]

    def close(self, timeout_s: float) -> None:
        """See `Source.close`."""
        # What cannot be told to the brokers they find out by themselves, when the session ends.
        with contextlib.suppress(kafka_errors.KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=int(timeout_s * 1000))

    def _owned(self, next_offsets: Mapping[Partition, int]) -> dict[TopicPartition, OffsetAndMetadata]:
        owned = self._consumer.assignment()
        return {
            TopicPartition(*partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in next_offsets.items()
            if partition in owned
        }

    def _take(self, timeout_s: float, max_records: int) -> int:
        polled = self._poll(timeout_s, max_records)
        for tp, records in polled.items():
            self._open.setdefault(tp, []).extend(records)
        return sum(map(len, polled.values()))

    def _poll(self, timeout_s: float, max_records: int) -> dict[TopicPartition, list[Unplaced]]:
        try:
            polled: dict[TopicPartition, list[Unplaced]] = self._consumer.poll(
                timeout_ms=timeout_s * 1000, max_records=max_records
            )
        except kafka_errors.NoOffsetForPartitionError as error:
            self._start_at_policy(error.args[0])
        except kafka_errors.OffsetOutOfRangeError as error:
            self._reset(error.args[0])
        except kafka_errors.KafkaError as error:
            if not may_pass(error):
                raise StreamError(explain(error)) from error
            time.sleep(_RETRY_S)
        else:
            return polled
        return {}

    def _start_at_policy(self, partitions: set[TopicPartition]) -> None:
        if self._reset_policy == "fail":
            raise no_position(Partition(*tp) for tp in partitions)
        self._seek_to_policy(partitions)

    def _reset(self, gone: Mapping[TopicPartition, int]) -> None:
        for tp, offset in gone.items():
            if self._reset_policy == "fail":
                raise position_gone(Partition(*tp), offset)
            self._listener.offsets_reset(Partition(*tp), offset, self._reset_policy)
        self._seek_to_policy(set(gone))

    def _seek_to_policy(self, partitions: set[TopicPartition]) -> None:
        seek = self._consumer.seek_to_end if self._reset_policy == "latest" else self._consumer.seek_to_beginning
        seek(*partitions)

    def on_rebalance(self, kind: RebalanceKind, partitions: Sequence[TopicPartition]) -> None:
        """Called on the client's own thread while this one waits in poll."""
        if kind == "assigned":
            if self._paused:
                self._consumer.pause(*partitions)
        else:
            for tp in partitions:  # whoever owns them now reads these records; here nothing was done with them yet
                self._open.pop(tp, None)
        self._listener.rebalanced(kind, [Partition(*tp) for tp in partitions])


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc] # kafka-python has no types
    def __init__(self, source: KafkaPythonSource) -> None:
        self._source = source

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._source.on_rebalance("assigned", assigned)

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        self._source.on_rebalance("revoked", revoked)

    def on_partitions_lost(self, lost: Sequence[TopicPartition]) -> None:
        self._source.on_rebalance("lost", lost)


class KafkaPythonSink:
    """Writes alerts and dead letters with an idempotent producer."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._options = producer_options(kafka)
        self._producer = self._connect()

    def send(self, records: Sequence[OutgoingRecord]) -> "_KafkaPending":
        """See `Sink.send`."""
        sent: list[tuple[OutgoingRecord, Any]] = []
        gone: dict[str, Exception] = {}
        if is_past_use(self._producer):
            try:
                self._replace()
            except kafka_errors.KafkaError as error:
                gone = dict.fromkeys({record.topic for record in records}, error)
        for record in records:
            outcome = gone.get(record.topic) or self._send(record)
            if isinstance(outcome, kafka_errors.KafkaTimeoutError):
                gone[record.topic] = outcome  # it took max_block_ms to learn this; the other records need not
            sent.append((record, outcome))
        return _KafkaPending(self._producer, sent)

    def close(self, timeout_s: float) -> None:
        """See `Sink.close`."""
        close(self._producer, timeout_s)

    def _connect(self) -> KafkaProducer:
        producer = KafkaProducer(**self._options, value_serializer=NullSerializer())
        mend_idempotence(producer)
        return producer

    def _replace(self) -> None:
        producer = self._connect()
        close(self._producer, 0.0)
        self._producer = producer

    def _send(self, record: OutgoingRecord) -> Any:
        """The future of kafka-python, or the error that it raised instead."""
        try:
            return send(self._producer, record)
        except (kafka_errors.KafkaError, ValueError, TypeError) as error:
            return error


class _KafkaPending:
    def __init__(self, producer: KafkaProducer, sent: list[tuple[OutgoingRecord, Any]]) -> None:
        self._producer = producer
        self._sent = sent

    def wait(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(kafka_errors.KafkaTimeoutError):
            self._producer.flush(timeout=FLUSH_S)  # ends the linger; it would wait this long for each partition
        for _, outcome in self._sent:
            if isinstance(outcome, Exception) or outcome.is_done:
                continue
            # `get` raises both when the time is up and when the record failed; `is_done` tells which it was.
            with contextlib.suppress(kafka_errors.KafkaError):
                outcome.get(timeout=max(0.0, deadline - time.monotonic()))
            if not outcome.is_done:
                return False
        return True

    def refused(self) -> list[Refusal]:
        refusals = []
        for record, outcome in self._sent:
            error = outcome if isinstance(outcome, Exception) else outcome.exception
            if error is not None:
                refusals.append(Refusal(record, explain(error), is_final(error)))
        return refusals

    def written(self) -> list[tuple[Partition, int]]:
        """Where each record that is acknowledged by now arrived; offset -1 when the broker did not say."""
        arrived = [outcome.value for _, outcome in self._sent if not isinstance(outcome, Exception)]
        return [(Partition(place.topic, place.partition), place.offset) for place in arrived if place is not None]


def _commit_error(outcome: Any) -> CommitError | None:
    return CommitError(explain(outcome)) if isinstance(outcome, Exception) else None
