"""The reading side of the stream over librdkafka."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from detector.records import Partition
from detector.settings import KafkaSettings
from detector.stream.background import run_within
from detector.stream.errors import fatal_error
from detector.stream.interfaces import Batch, CommitDone, CommitError, RebalanceKind, SourceListener, StreamError
from detector.stream.librdkafka.errors import FATAL, UNREADABLE, FatalErrors, client_log, describe
from detector.stream.librdkafka.liveness import Liveness
from detector.stream.librdkafka.offsets import Commits, Lag, committed_offsets, topic_partitions
from detector.stream.librdkafka.options import consumer_options
from detector.stream.librdkafka.records import MessageBatch, MessageRecords, describe_unreadable
from detector.stream.librdkafka.stale_member import StaleMember
from detector.stream.offset_reset import no_committed_offset, offset_out_of_range
from detector.stream.policy import PROBE_AFTER_S
from detector.stream.window import BatchWindow

_REQUEST_S = 0.5
_POLL_S = 0.05
_METADATA_S = 5.0


class LibrdkafkaSource:
    """Reads the events topic; the settings decide where to start when the group has no committed offset."""

    def __init__(self, kafka: KafkaSettings, listener: SourceListener) -> None:
        self._topic = kafka.events_topic
        self._reset_policy = kafka.auto_offset_reset
        self._listener = listener
        self._paused = self._closing = False
        self._assigned: frozenset[int] = frozenset()
        self._collected: list[Any] = []
        self._window = BatchWindow()
        self._revoked: set[int] = set()
        """Partitions revoked or lost during the current call of the client."""
        self._group_metadata: Any = None
        self._member_id = ""
        self._stale_member = StaleMember(kafka)
        self._fatal_errors = FatalErrors()
        self._commits = Commits(self._fatal_errors)
        self._liveness = Liveness()
        self._probed_at = float("-inf")
        callbacks = {"error_cb": self._fatal_errors, "on_commit": self._commits.on_commit, "stats_cb": self._liveness}
        self._consumer = Consumer(consumer_options(kafka) | callbacks, logger=client_log())
        self._lag = Lag(self._consumer, self._topic)
        self._consumer.subscribe(
            [self._topic],
            on_assign=lambda _, partitions: self._on_assigned(partitions),
            on_revoke=lambda _, partitions: self._on_unassigned("revoked", partitions),
            on_lost=lambda _, partitions: self._on_unassigned("lost", partitions),
        )

    def poll(self, max_records: int, max_wait_s: float, idle_s: float) -> Batch:
        """See `Source.poll`."""
        asked_at = time.monotonic()
        if not self._collected:
            self._read_more(1, idle_s)
        close_at = self._window.close_time(asked_at, time.monotonic(), max_wait_s)
        while self._collected and (room := max_records - len(self._collected)) > 0:
            left_s = close_at - time.monotonic()
            self._read_more(room, max(0.0, left_s))
            if left_s <= 0:
                break
        return self._make_batch(max_records)

    def commit(self, next_offsets: Mapping[Partition, int], on_done: CommitDone) -> None:
        """See `Source.commit`."""
        self._fatal_errors.raise_first()
        offsets = {tp.partition: offset for tp, offset in next_offsets.items() if tp in self.partitions()}
        if not offsets:
            on_done(None)
            return
        try:
            self._consumer.commit(offsets=topic_partitions(self._topic, offsets), asynchronous=True)
        except KafkaException as error:
            on_done(CommitError(describe(error.args[0])))
        else:
            self._commits.started(offsets, on_done)

    def commit_now(self, next_offsets: Mapping[Partition, int], timeout_s: float) -> None:
        """See `Source.commit_now`."""
        deadline = time.monotonic() + timeout_s
        outcomes: list[CommitError | None] = []
        was_paused = self._paused
        self.pause()
        try:
            self.commit(next_offsets, outcomes.append)
            while not outcomes and time.monotonic() < deadline:
                self._read_more(1, _POLL_S)
        except StreamError as error:
            raise CommitError(str(error)) from error
        finally:
            if not was_paused:
                self.resume()
        outcome = outcomes[0] if outcomes else CommitError(f"no answer within {timeout_s:g} s")
        if outcome is not None:
            raise outcome

    def rewind(self, batch: Batch, timeout_s: float) -> bool:
        """See `Source.rewind`."""
        firsts = {tp.partition: first for tp, first in batch.first_offsets().items() if tp in self.partitions()}
        try:
            for number, committed in committed_offsets(self._consumer, self._topic, firsts, timeout_s).items():
                self._seek(number, firsts[number] if committed is None else committed)
        except KafkaException as error:
            if error.args[0].code() in FATAL:
                raise fatal_error(describe(error.args[0])) from error
            return False
        return True

    def pause(self) -> None:
        """See `Source.pause`."""
        self._paused = True
        self._consumer.pause(topic_partitions(self._topic, dict.fromkeys(self._assigned, 0)))

    def resume(self) -> None:
        """See `Source.resume`."""
        self._paused = False
        self._consumer.resume(topic_partitions(self._topic, dict.fromkeys(self._assigned, 0)))

    def keep_alive(self) -> None:
        """See `Source.keep_alive`; a record that arrives nevertheless is kept for the next poll."""
        self._read_more(1, 0.0)

    def partitions(self) -> frozenset[Partition]:
        """See `Source.partitions`."""
        return frozenset(Partition(self._topic, number) for number in self._assigned)

    def lag(self) -> dict[Partition, int]:
        """See `Source.lag`; end offsets are known from fetches, and so are current offsets once something was read."""
        return self._lag.records(self._assigned)

    def since_response_s(self) -> float:
        """See `Source.since_response_s`; accurate to two seconds, the interval of the statistics."""
        since_s = self._liveness.since_response_s()
        if since_s > PROBE_AFTER_S and time.monotonic() - self._probed_at > PROBE_AFTER_S:
            self._probed_at = time.monotonic()
            with contextlib.suppress(KafkaException):  # a call that depends on the answer will report the error
                self._consumer.list_topics(self._topic, timeout=_REQUEST_S)
                self._liveness.responded()
        return since_s

    def missing_topics(self, topics: Sequence[str]) -> list[str]:
        """Those of the topics that do not exist.

        Raises:
            KafkaException: the brokers did not answer.
        """
        return [topic for topic in topics if not self._partitions_of(topic)]

    def close(self, timeout_s: float) -> None:
        """See `Source.close`."""
        self._closing = True
        self._stale_member.cancel()
        # When the brokers cannot be told in time, they notice by themselves at the session timeout.
        with contextlib.suppress(KafkaException):
            run_within(self._consumer.close, timeout_s)

    def _partitions_of(self, topic: str) -> Mapping[int, object]:
        partitions: Mapping[int, object] = (
            self._consumer.list_topics(topic, timeout=_METADATA_S).topics[topic].partitions
        )
        return partitions

    def _make_batch(self, max_records: int) -> Batch:
        messages, self._collected = self._collected[:max_records], self._collected[max_records:]
        self._window.close(time.monotonic())
        last: dict[Any, Any] = dict(zip(map(Message.partition, messages), messages, strict=True))
        return MessageBatch(
            MessageRecords(messages),
            {Partition(self._topic, number): message.offset() + 1 for number, message in last.items()},
            self._group_metadata,
        )

    def _read_more(self, number: int, timeout_s: float) -> None:
        """Read into `_collected`; the callbacks below are called within this."""
        messages = self._consumer.consume(number, timeout_s)
        self._fatal_errors.raise_first()
        if any(map(Message.error, messages)):
            messages = self._without_errors(messages)
        if self._revoked:
            messages = self._without_revoked(messages)
        self._collected += messages

    def _without_revoked(self, messages: list[Any]) -> list[Any]:
        """Drop records of partitions revoked during the call.

        A partition that was assigned again during the same call is read from its committed offset.
        """
        revoked, self._revoked = self._revoked, set()
        for number in revoked & self._assigned & set(map(Message.partition, messages)):
            self._restart(TopicPartition(self._topic, number))
        return [message for message in messages if message.partition() not in revoked]

    def _without_errors(self, messages: list[Any]) -> list[Any]:
        without_offset: set[Partition] = set()
        for message in messages:
            error = message.error()
            if error is None:
                continue
            if error.code() in UNREADABLE:
                raise StreamError(describe_unreadable(message, error))
            if error.code() != KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - a public constant
                self._fatal_errors(error)
                if self._member_id or error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    # Before the first assignment this broker may not know a topic yet that another has just created.
                    client_log().warning("%s: cannot read, will retry: %s", error.name(), error.str())
            elif message.partition() in self._assigned:
                tp = Partition(self._topic, message.partition())
                if message.offset() is None:
                    without_offset.add(tp)
                else:
                    self._reset(tp, message.offset())
        self._fatal_errors.raise_first()
        if without_offset:
            self._start_at_policy(without_offset)
        return [message for message in messages if message.error() is None]

    def _start_at_policy(self, partitions: set[Partition]) -> None:
        if self._reset_policy == "fail":
            raise no_committed_offset(partitions)
        for _, number in partitions:
            self._restart_at_policy(number)

    def _reset(self, partition: Partition, missing_offset: int) -> None:
        if self._reset_policy == "fail":
            raise offset_out_of_range(partition, missing_offset)
        self._listener.offset_reset(partition, missing_offset, self._reset_policy)
        self._restart_at_policy(partition.partition)

    def _restart_at_policy(self, number: int) -> None:
        start = OFFSET_END if self._reset_policy == "latest" else OFFSET_BEGINNING
        self._lag.starts_at(number, start)
        self._restart(TopicPartition(self._topic, number, start))

    def _restart(self, tp: TopicPartition) -> None:
        """Assign a partition again: librdkafka stopped fetching it after the error, and cannot seek in it any more."""
        self._consumer.incremental_unassign([tp])
        self._consumer.incremental_assign([tp])
        if self._paused:
            self._consumer.pause([tp])

    def _seek(self, number: int, offset: int) -> None:
        self._collected = [message for message in self._collected if message.partition() != number]
        self._consumer.seek(TopicPartition(self._topic, number, offset))
        self._lag.starts_at(number, offset)

    def _on_assigned(self, partitions: list[TopicPartition]) -> None:
        """Called within `_read_more`, once for each generation of the group, also when no partition is added."""
        if self._closing:
            return  # a join that finishes while the member leaves the group: it has no membership any more
        self._consumer.incremental_assign(partitions)
        if self._paused:
            self._consumer.pause(partitions)
        self._group_metadata, self._member_id = self._current_metadata(), self._consumer.memberid() or self._member_id
        self._stale_member.cancel()
        if partitions:
            self._assigned |= {tp.partition for tp in partitions}
            self._notify("assigned", partitions)

    def _on_unassigned(self, kind: RebalanceKind, partitions: list[TopicPartition]) -> None:
        """Called within `_read_more` and `close`; the client gives the partitions up when this returns."""
        if kind == "lost" and not self._closing and self._member_id not in ("", self._consumer.memberid()):
            self._stale_member.remove(self._member_id)
        numbers = {tp.partition for tp in partitions}
        if self._paused:
            self._consumer.resume(partitions)  # otherwise they would still be paused when they are assigned again
        self._revoked |= numbers
        self._assigned -= numbers
        # Their new owner reads these records; none of them was processed here.
        self._collected = [message for message in self._collected if message.partition() not in numbers]
        for number in numbers:
            self._lag.forget(number)
        self._notify(kind, partitions)

    def _current_metadata(self) -> Any:
        """The membership of the generation that was just joined.

        It is kept, and not fetched with each batch: a process that was suspended beyond its session timeout loses its
        member id before its partitions, and brokers do not fence a membership without a member id.
        """
        metadata = self._consumer.consumer_group_metadata()
        return metadata if self._consumer.memberid() else None

    def _notify(self, kind: RebalanceKind, partitions: list[TopicPartition]) -> None:
        self._listener.rebalanced(kind, [Partition(tp.topic, tp.partition) for tp in partitions])
