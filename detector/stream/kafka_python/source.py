"""The reading side of the stream over kafka-python."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors

from detector.records import Partition
from detector.settings import KafkaSettings
from detector.stream.errors import fatal_error
from detector.stream.interfaces import Batch, CommitDone, CommitError, RebalanceKind, SourceListener
from detector.stream.kafka_python import patches
from detector.stream.kafka_python.errors import FATAL, describe, is_retriable
from detector.stream.kafka_python.options import consumer_options
from detector.stream.kafka_python.records import FetchedBatch, FetchedSequence, RawRecord
from detector.stream.offset_reset import no_committed_offset, offset_out_of_range
from detector.stream.policy import PROBE_AFTER_S
from detector.stream.window import BatchWindow

_RETRY_S = 0.1
_POLL_PAUSE_S = 0.005
"""Pause before polling again when a poll returned few records. A poll takes about a millisecond of processor time
whatever it returns, so a slow stream of events would otherwise keep a core busy."""
_FEW_SHARE = 10
"""A poll returned few records when it was less than one in this many of a full batch."""


class KafkaPythonSource:
    """Reads the events topic; the settings decide where to start when the group has no committed offset.

    Raises:
        UsageError: this version of kafka-python was not tested with the patches.
        KafkaError: the brokers could not be reached in time, or rejected this client.
    """

    def __init__(self, kafka: KafkaSettings, listener: SourceListener) -> None:
        patches.apply()
        from detector.stream.kafka_python.patches import broker_contact  # noqa: PLC0415

        self._contact = broker_contact
        self._reset_policy = kafka.auto_offset_reset
        self._listener = listener
        self._paused = False
        self._collected: dict[TopicPartition, list[RawRecord]] = {}
        """The records of the batch that is being read."""
        self._window = BatchWindow()
        self._consumer = KafkaConsumer(**consumer_options(kafka))
        self._last_response_at = time.monotonic()
        patches.patch_consumer(self._consumer)
        try:
            self._subscribe(kafka.events_topic)
        except BaseException:
            self.close(timeout_s=0)
            raise

    def _subscribe(self, topic: str) -> None:
        # Fetch the topic's metadata first: a group leader that does not know the topic assigns its partitions to
        # nobody, and nothing corrects this until the metadata expires.
        self._consumer.partitions_for_topic(topic)
        self._consumer.subscribe([topic], listener=_RebalanceListener(self))

    def poll(self, max_records: int, max_wait_s: float, idle_s: float) -> Batch:
        """See `Source.poll`."""
        self._collected = {}
        asked_at = time.monotonic()
        number = self._read_more(idle_s, max_records)
        close_at = self._window.close_time(asked_at, time.monotonic(), max_wait_s)
        while self._collected:
            room = max_records - sum(map(len, self._collected.values()))
            left_s = close_at - time.monotonic()
            if room <= 0 or left_s <= 0:
                break
            if number < max_records // _FEW_SHARE:
                time.sleep(min(left_s, _POLL_PAUSE_S))
            number = self._read_more(max(0.0, close_at - time.monotonic()), room)
        collected, self._collected = self._collected, {}
        self._window.close(time.monotonic())
        return FetchedBatch(
            FetchedSequence(collected),
            {Partition(*tp): records[-1].offset + 1 for tp, records in collected.items()},
            self._consumer.group_metadata(),
        )

    def commit(self, next_offsets: Mapping[Partition, int], on_done: CommitDone) -> None:
        """See `Source.commit`."""
        offsets = self._assigned_only(next_offsets)
        if not offsets:
            on_done(None)
            return
        try:
            self._consumer.commit_async(offsets, callback=lambda _, outcome: on_done(_commit_error(outcome)))
        except FATAL as error:  # it may be the error of an earlier commit
            raise fatal_error(describe(error)) from error
        except kafka_errors.KafkaError as error:
            on_done(CommitError(describe(error)))

    def commit_now(self, next_offsets: Mapping[Partition, int], timeout_s: float) -> None:
        """See `Source.commit_now`."""
        offsets = self._assigned_only(next_offsets)
        if not offsets:
            return
        try:
            self._consumer.commit(offsets, timeout_ms=int(timeout_s * 1000))
        except kafka_errors.KafkaError as error:
            raise CommitError(describe(error)) from error

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
                continue  # revoked between the two lines
            except kafka_errors.KafkaError as error:
                if not is_retriable(error):
                    raise fatal_error(describe(error)) from error
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
        """See `Source.lag`; both offsets are known from fetches, so no request is sent."""
        lags = {}
        for partition in self.partitions():
            tp = TopicPartition(*partition)
            # The client's own thread may lose the partition in a rebalance between two of these lines.
            with contextlib.suppress(kafka_errors.KafkaError):  # the next poll raises it again
                end = self._consumer.highwater(tp)
                position = None if end is None else self._consumer.position(tp, timeout_ms=0)
                if end is not None and position is not None:
                    lags[partition] = max(0, end - position)
        return lags

    def since_response_s(self) -> float:
        """See `Source.since_response_s`."""
        self._last_response_at = self._contact.last_response_at(self._consumer, self._last_response_at)
        since_s = time.monotonic() - self._last_response_at
        if since_s > PROBE_AFTER_S:
            self._contact.request_metadata(self._consumer)
        return since_s

    def missing_topics(self, topics: Sequence[str]) -> list[str]:
        """Those of the topics that do not exist."""
        return [topic for topic in topics if not self._consumer.partitions_for_topic(topic)]

    def close(self, timeout_s: float) -> None:
        """See `Source.close`."""
        # When the brokers cannot be told in time, they notice by themselves at the session timeout.
        with contextlib.suppress(kafka_errors.KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=int(timeout_s * 1000))

    def _assigned_only(self, next_offsets: Mapping[Partition, int]) -> dict[TopicPartition, OffsetAndMetadata]:
        assigned = self._consumer.assignment()
        return {
            TopicPartition(*partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in next_offsets.items()
            if partition in assigned
        }

    def _read_more(self, timeout_s: float, max_records: int) -> int:
        """Read into `_collected`; returns the number of records."""
        polled = self._poll(timeout_s, max_records)
        for tp, records in polled.items():
            self._collected.setdefault(tp, []).extend(records)
        return sum(map(len, polled.values()))

    def _poll(self, timeout_s: float, max_records: int) -> dict[TopicPartition, list[RawRecord]]:
        try:
            polled: dict[TopicPartition, list[RawRecord]] = self._consumer.poll(
                timeout_ms=timeout_s * 1000, max_records=max_records
            )
        except kafka_errors.NoOffsetForPartitionError as error:
            self._start_at_policy(error.args[0])
        except kafka_errors.OffsetOutOfRangeError as error:
            self._reset(error.args[0])
        except kafka_errors.KafkaError as error:
            if not is_retriable(error):
                raise fatal_error(describe(error)) from error
            time.sleep(_RETRY_S)
        else:
            return polled
        return {}

    def _start_at_policy(self, partitions: set[TopicPartition]) -> None:
        if self._reset_policy == "fail":
            raise no_committed_offset(Partition(*tp) for tp in partitions)
        self._seek_to_policy(partitions)

    def _reset(self, missing: Mapping[TopicPartition, int]) -> None:
        for tp, offset in missing.items():
            if self._reset_policy == "fail":
                raise offset_out_of_range(Partition(*tp), offset)
            self._listener.offset_reset(Partition(*tp), offset, self._reset_policy)
        self._seek_to_policy(set(missing))

    def _seek_to_policy(self, partitions: set[TopicPartition]) -> None:
        seek = self._consumer.seek_to_end if self._reset_policy == "latest" else self._consumer.seek_to_beginning
        seek(*partitions)

    def on_rebalance(self, kind: RebalanceKind, partitions: Sequence[TopicPartition]) -> None:
        """Called on the client's own thread while the main thread waits in poll."""
        if kind == "assigned":
            if self._paused:
                self._consumer.pause(*partitions)
        else:
            for tp in partitions:  # their new owner reads these records; none of them was processed here
                self._collected.pop(tp, None)
        self._listener.rebalanced(kind, [Partition(*tp) for tp in partitions])


class _RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc] # kafka-python has no types
    def __init__(self, source: KafkaPythonSource) -> None:
        self._source = source

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._source.on_rebalance("assigned", assigned)

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        self._source.on_rebalance("revoked", revoked)

    def on_partitions_lost(self, lost: Sequence[TopicPartition]) -> None:
        self._source.on_rebalance("lost", lost)


def _commit_error(outcome: Any) -> CommitError | None:
    return CommitError(describe(outcome)) if isinstance(outcome, Exception) else None
