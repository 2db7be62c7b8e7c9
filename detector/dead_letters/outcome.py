"""What became of replayed records: read by the daemon and gone through, or back among the dead letters."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from kafka import KafkaAdminClient, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import OffsetSpec

from detector.dead_letters.delivery import Pause
from detector.dead_letters.letter import read_letter
from detector.dead_letters.places import Places
from detector.dead_letters.topic import Offsets, TopicReader
from detector.records import Partition
from detector.settings import KafkaSettings
from detector.stream.kafka_options import connection_options

_LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of the replayed records: how many went through, came back, and are not read yet."""

    through: int
    back: int
    unread: int

    def line(self) -> str:
        """What a person reads."""
        unread = f", {self.unread} are not read yet" if self.unread else ""
        return f"{self.through} went through, {self.back} came back{unread}"


def follow(
    kafka: KafkaSettings, reader: TopicReader, arrived: Places, since: Offsets, wait_s: float, pause: Pause
) -> Outcome:
    """Wait until the daemon's group has committed past the replayed records, then look which came back.

    In this order: a dead letter is written before the position behind its record is committed.

    Args:
        kafka: the group and the topics.
        reader: of the dead-letter topic.
        arrived: where the replayed records are.
        since: the ends of the dead-letter topic before they were sent.
        wait_s: how long to wait for the group.
        pause: how to wait, and how to learn of a stop.
    """
    admin = KafkaAdminClient(**connection_options(kafka))
    try:
        committed = _wait_for_group(admin, kafka.group_id, arrived, wait_s, pause)
        ends = _very_ends(admin, since)
    finally:
        admin.close()
    back = _came_back(kafka.events_topic, reader, arrived, since, ends)
    unread = arrived.total - arrived.before(committed)
    unread -= sum(offset >= committed.get(partition, 0) for partition, offset in back)
    return Outcome(arrived.total - len(back) - unread, len(back), unread)


def _wait_for_group(admin: KafkaAdminClient, group_id: str, arrived: Places, wait_s: float, pause: Pause) -> Offsets:
    deadline = time.monotonic() + wait_s
    while True:
        committed = _committed(admin, group_id)
        if arrived.before(committed) == arrived.total or time.monotonic() > deadline or pause(_LOOK_EVERY_S):
            return committed


def _committed(admin: KafkaAdminClient, group_id: str) -> Offsets:
    try:
        offsets = admin.list_group_offsets(group_id)[group_id]
    except kafka_errors.KafkaError as error:
        if not error.retriable:
            raise
        return {}  # the coordinator is not there at the moment
    return {Partition(*tp): position.offset for tp, position in offsets.items()}


def _very_ends(admin: KafkaAdminClient, partitions: Iterable[Partition]) -> Offsets:
    """With what is not committed yet: a transaction's positions may be seen a moment before its dead letters."""
    found = admin.list_partition_offsets({TopicPartition(*tp): OffsetSpec.LATEST for tp in partitions})
    return {Partition(*tp): at.offset for tp, at in found.items()}


def _came_back(
    events_topic: str, reader: TopicReader, arrived: Places, since: Offsets, ends: Offsets
) -> set[tuple[Partition, int]]:
    back: set[tuple[Partition, int]] = set()
    for records in reader.read(since, ends, lambda: False):
        for letter in filter(None, map(read_letter, records)):
            place = Partition(letter.topic, letter.partition), letter.offset
            if letter.topic == events_topic and place in arrived:
                back.add(place)  # a set: a daemon that was killed meanwhile may have written it twice
    return back
