"""The outcome of replayed records: processed by the daemon, or dead-lettered again."""

import time
from dataclasses import dataclass

from detector.dead_letters.letter import parse_dead_letter
from detector.dead_letters.offsets import WrittenOffsets
from detector.records import Partition
from detector.settings import KafkaSettings
from detector.stream.admin.groups import GroupProgress
from detector.stream.admin.reader import Offsets, TopicReader
from detector.stream.admin.writer import Pause

_CHECK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many replayed records were accepted, dead-lettered again, and not read yet."""

    accepted: int
    dead_lettered: int
    unread: int

    def line(self) -> str:
        """One line for a person."""
        unread = f", {self.unread} not read yet" if self.unread else ""
        return f"{self.accepted} accepted, {self.dead_lettered} dead-lettered again{unread}"


def follow(
    kafka: KafkaSettings, reader: TopicReader, written: WrittenOffsets, since: Offsets, wait_s: float, pause: Pause
) -> Outcome:
    """Wait until the daemon's group has committed the replayed records, then count those that are dead letters again.

    In this order, because the daemon writes a dead letter before it commits its record.

    Args:
        kafka: the group and the topics.
        reader: reads the dead-letter topic.
        written: partitions and offsets of the replayed records.
        since: the ends of the dead-letter topic before the records were sent.
        wait_s: how long to wait for the group.
        pause: waits, and reports a stop request.
    """
    group = GroupProgress(kafka)
    try:
        committed = _wait_for_group(group, written, wait_s, pause)
        # Including open transactions: a transaction's offsets may be visible a moment before its dead letters.
        ends = group.log_ends(since)
    finally:
        group.close()
    dead_lettered = _dead_lettered(kafka.events_topic, reader, written, since, ends)
    unread = written.total - written.count_before(committed)
    unread -= sum(offset >= committed.get(partition, 0) for partition, offset in dead_lettered)
    return Outcome(written.total - len(dead_lettered) - unread, len(dead_lettered), unread)


def _wait_for_group(group: GroupProgress, written: WrittenOffsets, wait_s: float, pause: Pause) -> Offsets:
    deadline = time.monotonic() + wait_s
    while True:
        committed = group.committed()
        is_done = written.count_before(committed) == written.total
        if is_done or time.monotonic() > deadline or pause(_CHECK_EVERY_S):
            return committed


def _dead_lettered(
    events_topic: str, reader: TopicReader, written: WrittenOffsets, since: Offsets, ends: Offsets
) -> set[tuple[Partition, int]]:
    found: set[tuple[Partition, int]] = set()  # a set: a daemon that was killed may have written duplicates
    for records in reader.read(since, ends, lambda: False):
        for letter in filter(None, map(parse_dead_letter, records)):
            source = Partition(letter.topic, letter.partition), letter.offset
            if letter.topic == events_topic and source in written:
                found.add(source)
    return found
