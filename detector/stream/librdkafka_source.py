"""The reading side of the stream over librdkafka."""

import contextlib
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from detector.records import Partition
from detector.settings import KafkaSettings
from detector.stream.background import run_within
from detector.stream.interfaces import QUIET_S, Batch, CommitDone, CommitError, Listener, RebalanceKind, StreamError
from detector.stream.librdkafka_answers import Answers
from detector.stream.librdkafka_faults import FATAL, UNREADABLE, Failures, client_log, explain
from detector.stream.librdkafka_former import FormerMember
from detector.stream.librdkafka_options import consumer_options
from detector.stream.librdkafka_records import MessageBatch, MessageRecords, why_unreadable
from detector.stream.positions import no_position, position_gone
from detector.stream.window import Window

_ASK_S = 0.5
_LOOK_S = 0.05
_METADATA_S = 5.0


class LibrdkafkaSource:
    """Reads the events topic; the settings decide where to start when the group has no position."""

    def __init__(self, kafka: KafkaSettings, listener: Listener) -> None:
        self._topic = kafka.events_topic
        self._reset_policy = kafka.auto_offset_reset
        self._listener = listener
        self._paused = self._closing = False
        self._assigned: frozenset[int] = frozenset()
        self._in_hand: list[Any] = []
        self._window = Window()
        self._revoked: set[int] = set()
        """What was taken away during the call of the client that is under way."""
        self._starts: dict[int, int] = {}
        """Where reading was told to begin, for partitions of which nothing was read yet."""
        self._membership: Any = None
        self._member_id = ""
        self._former = FormerMember(kafka)
        self._commits: deque[tuple[dict[int, int], CommitDone]] = deque()
        self._failures = Failures()
        self._answers = Answers()
        self._asked = float("-inf")
        callbacks = {"error_cb": self._failures, "on_commit": self._on_commit, "stats_cb": self._answers}
        self._consumer = Consumer(consumer_options(kafka) | callbacks, logger=client_log())
        self._consumer.subscribe(
            [self._topic],
            on_assign=lambda _, partitions: self._on_assigned(partitions),
            on_revoke=lambda _, partitions: self._on_gone("revoked", partitions),
            on_lost=lambda _, partitions: self._on_gone("lost", partitions),
        )

    def poll(self, max_records: int, max_wait_s: float, idle_s: float) -> Batch:
        """See `Source.poll`."""
        asked = time.monotonic()
        if not self._in_hand:
            self._take(1, idle_s)
        end = self._window.end(asked, time.monotonic(), max_wait_s)
        while self._in_hand and (room := max_records - len(self._in_hand)) > 0:
            left = end - time.monotonic()
            self._take(room, max(0.0, left))
            if left <= 0:
                break
        return self._hand_out(max_records)

    def commit(self, next_offsets: Mapping[Partition, int], on_done: CommitDone) -> None:
        """See `Source.commit`."""
        self._failures.raise_final()
        offsets = {tp.partition: offset for tp, offset in next_offsets.items() if tp in self.partitions()}
        if not offsets:
            on_done(None)
            return
        try:
            self._consumer.commit(offsets=self._at(offsets), asynchronous=True)
        except KafkaException as error:
            on_done(CommitError(explain(error.args[0])))
        else:
            self._commits.append((offsets, on_done))

    def commit_now(self, next_offsets: Mapping[Partition, int], timeout_s: float) -> None:
        """See `Source.commit_now`."""
        deadline = time.monotonic() + timeout_s
        outcomes: list[CommitError | None] = []
        was_paused = self._paused
        self.pause()
        try:
            self.commit(next_offsets, outcomes.append)
            while not outcomes and time.monotonic() < deadline:
                self._take(1, _LOOK_S)
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
            for number, committed in self._committed(firsts, timeout_s).items():
                self._seek(number, firsts[number] if committed is None else committed)
        except KafkaException as error:
            if error.args[0].code() in FATAL:
                raise StreamError(explain(error.args[0])) from error
            return False
        return True

    def pause(self) -> None:
        """See `Source.pause`."""
        self._paused = True
        self._consumer.pause(self._at(dict.fromkeys(self._assigned, 0)))

    def resume(self) -> None:
        """See `Source.resume`."""
        self._paused = False
        self._consumer.resume(self._at(dict.fromkeys(self._assigned, 0)))

    def keep_alive(self) -> None:
        """See `Source.keep_alive`; a record that comes all the same is kept for the next poll."""
        self._take(1, 0.0)

    def partitions(self) -> frozenset[Partition]:
        """See `Source.partitions`."""
        return frozenset(Partition(self._topic, number) for number in self._assigned)

    def lag(self) -> dict[Partition, int]:
        """See `Source.lag`; the ends are known from fetches, and so are the positions once something was read."""
        asked = self._at(dict.fromkeys(self._assigned, 0))
        positions = {tp.partition: tp.offset for tp in self._consumer.position(asked) if tp.offset >= 0}
        self._ask_for_starts(self._assigned - positions.keys() - self._starts.keys())
        lags = {}
        for tp in asked:
            low, high = self._consumer.get_watermark_offsets(tp, cached=True)
            start = self._starts.get(tp.partition)
            if start in (OFFSET_BEGINNING, OFFSET_END):
                start = low if start == OFFSET_BEGINNING else high
            position = positions.get(tp.partition, start)
            if high >= 0 and position is not None:
                lags[Partition(self._topic, tp.partition)] = max(0, high - position)
        return lags

    def silent_s(self) -> float:
        """See `Source.silent_s`; known to two seconds."""
        silent_s = self._answers.silent_s()
        if silent_s > QUIET_S and time.monotonic() - self._asked > QUIET_S:
            self._asked = time.monotonic()
            with contextlib.suppress(KafkaException):  # whoever needs the brokers for more than a figure says so
                self._consumer.list_topics(self._topic, timeout=_ASK_S)
                self._answers.came()
        return silent_s

    def missing_topics(self, topics: Sequence[str]) -> list[str]:
        """Those of the topics that the brokers do not have.

        Raises:
            KafkaException: the brokers cannot be asked.
        """
        return [topic for topic in topics if not self._partitions_of(topic)]

    def close(self, timeout_s: float) -> None:
        """See `Source.close`."""
        self._closing = True
        self._former.forget()
        # What cannot be told to the brokers in time they find out by themselves, when the session ends.
        with contextlib.suppress(KafkaException):
            run_within(self._consumer.close, timeout_s)

    def _partitions_of(self, topic: str) -> Mapping[int, object]:
        partitions: Mapping[int, object] = (
            self._consumer.list_topics(topic, timeout=_METADATA_S).topics[topic].partitions
        )
        return partitions

    def _hand_out(self, max_records: int) -> Batch:
        messages, self._in_hand = self._in_hand[:max_records], self._in_hand[max_records:]
        self._window.close(time.monotonic())
        last: dict[Any, Any] = dict(zip(map(Message.partition, messages), messages, strict=True))
        return MessageBatch(
            MessageRecords(messages),
            {Partition(self._topic, number): message.offset() + 1 for number, message in last.items()},
            self._membership,
        )

    def _take(self, number: int, timeout_s: float) -> None:
        """Read into the hand; the callbacks below run in the midst of this."""
        messages = self._consumer.consume(number, timeout_s)
        self._failures.raise_final()
        if any(map(Message.error, messages)):
            messages = self._without_errors(messages)
        if self._revoked:
            messages = self._without_revoked(messages)
        self._in_hand += messages

    def _without_revoked(self, messages: list[Any]) -> list[Any]:
        """What was read and taken away within one call, and perhaps came back: then it is begun anew."""
        revoked, self._revoked = self._revoked, set()
        for number in revoked & self._assigned & set(map(Message.partition, messages)):
            self._restart(TopicPartition(self._topic, number))
        return [message for message in messages if message.partition() not in revoked]

    def _without_errors(self, messages: list[Any]) -> list[Any]:
        fresh: set[Partition] = set()
        for message in messages:
            error = message.error()
            if error is None:
                continue
            if error.code() in UNREADABLE:
                raise StreamError(why_unreadable(message, error))
            if error.code() != KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - public all the same
                self._failures(error)
                client_log().warning("%s %s", error.name(), error.str())
            elif message.partition() in self._assigned:
                tp = Partition(self._topic, message.partition())
                if message.offset() is None:
                    fresh.add(tp)
                else:
                    self._reset(tp, message.offset())
        self._failures.raise_final()
        if fresh:
            self._start_at_policy(fresh)
        return [message for message in messages if message.error() is None]

    def _start_at_policy(self, partitions: set[Partition]) -> None:
        if self._reset_policy == "fail":
            raise no_position(partitions)
        for _, number in partitions:
            self._restart_at_policy(number)

    def _reset(self, partition: Partition, gone: int) -> None:
        if self._reset_policy == "fail":
            raise position_gone(partition, gone)
        self._listener.offsets_reset(partition, gone, self._reset_policy)
        self._restart_at_policy(partition.partition)

    def _restart_at_policy(self, number: int) -> None:
        self._starts[number] = OFFSET_END if self._reset_policy == "latest" else OFFSET_BEGINNING
        self._restart(TopicPartition(self._topic, number, self._starts[number]))

    def _restart(self, tp: TopicPartition) -> None:
        """Begin to read a partition anew: librdkafka has given it up, and does not seek there any more."""
        self._consumer.incremental_unassign([tp])
        self._consumer.incremental_assign([tp])
        if self._paused:
            self._consumer.pause([tp])

    def _seek(self, number: int, offset: int) -> None:
        self._in_hand = [message for message in self._in_hand if message.partition() != number]
        self._consumer.seek(TopicPartition(self._topic, number, offset))
        self._starts[number] = offset

    def _ask_for_starts(self, numbers: Collection[int]) -> None:
        """Of partitions of which nothing was read since they came: the committed position, asked for once."""
        with contextlib.suppress(KafkaException):  # whoever needs the brokers for more than a figure says so
            committed = self._committed(numbers, _ASK_S)
            self._starts |= {number: offset for number, offset in committed.items() if offset is not None}

    def _committed(self, numbers: Collection[int], timeout_s: float) -> dict[int, int | None]:
        """The group's positions, None where it has none.

        Raises:
            KafkaException: the brokers did not tell all of them in time.
        """
        if not numbers:
            return {}
        answers = self._consumer.committed(self._at(dict.fromkeys(numbers, 0)), timeout=timeout_s)
        for tp in answers:
            if tp.error is not None:
                raise KafkaException(tp.error)
        return {tp.partition: tp.offset if tp.offset >= 0 else None for tp in answers}

    def _at(self, offsets: Mapping[int, int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number, offset) for number, offset in offsets.items()]

    def _on_assigned(self, partitions: list[TopicPartition]) -> None:
        """Called in the midst of `_take`, once for each generation of the group, also when nothing is added."""
        if self._closing:
            return  # a join that ends while the group is being left: there is no membership to ask for any more
        self._consumer.incremental_assign(partitions)
        if self._paused:
            self._consumer.pause(partitions)
        self._membership, self._member_id = self._joined(), self._consumer.memberid() or self._member_id
        self._former.forget()
        if partitions:
            self._assigned |= {tp.partition for tp in partitions}
            self._tell("assigned", partitions)

    def _on_gone(self, kind: RebalanceKind, partitions: list[TopicPartition]) -> None:
        """Called in the midst of `_take` and `close`; the client gives the partitions up when this returns."""
        if kind == "lost" and not self._closing and self._member_id not in ("", self._consumer.memberid()):
            self._former.give_up(self._member_id)
        numbers = {tp.partition for tp in partitions}
        if self._paused:
            self._consumer.resume(partitions)  # or they would be paused still when they come back
        self._revoked |= numbers
        self._assigned -= numbers
        # Whoever owns them now reads these records; here nothing was done with them yet.
        self._in_hand = [message for message in self._in_hand if message.partition() not in numbers]
        for number in numbers:
            self._starts.pop(number, None)
        self._tell(kind, partitions)

    def _joined(self) -> Any:
        """The membership of the generation that was just joined.

        Kept, and not asked for with each batch: a process that slept beyond its session learns of it before its
        partitions are taken, and a membership without a name, which it would have then, is one that brokers let pass.
        """
        membership = self._consumer.consumer_group_metadata()
        return membership if self._consumer.memberid() else None

    def _tell(self, kind: RebalanceKind, partitions: list[TopicPartition]) -> None:
        self._listener.rebalanced(kind, [Partition(tp.topic, tp.partition) for tp in partitions])

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Called in the midst of `_take`, in the order of the commits; one may go without an answer."""
        answered = {tp.partition: tp.offset for tp in partitions}
        error = error or next((tp.error for tp in partitions if tp.error is not None), None)
        while self._commits:
            offsets, on_done = self._commits.popleft()
            if offsets == answered:
                if error is not None and error.code() in FATAL:
                    self._failures(error)
                on_done(None if error is None else CommitError(explain(error)))
                return
            on_done(CommitError("it was not answered"))
