"""Topics seen from outside: created, read whole, and how far a group has come."""

import contextlib
from collections.abc import Iterable
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import NewTopic

from detector.records import Partition, Record
from detector.settings import KafkaSettings
from detector.stream.kafka_options import connection_options
from detector.stream.readiness import largest_message

_POLL_MS = 1000
_VISIBLE_MS = 30_000


def topic_names(kafka: KafkaSettings) -> tuple[str, str, str]:
    """Events, alerts, dead letters."""
    return kafka.events_topic, kafka.alerts_topic, kafka.dead_letter_topic


def create_topics(kafka: KafkaSettings, partitions: int, configs: dict[str, dict[str, str]] | None = None) -> None:
    """Create the three topics of the settings; those that exist stay as they are; on return all have leaders."""
    admin = KafkaAdminClient(**connection_options(kafka))
    try:
        for name in topic_names(kafka):
            config = {"max.message.bytes": str(largest_message(name, kafka))} | (configs or {}).get(name, {})
            topic = NewTopic(name=name, num_partitions=partitions, replication_factor=1, topic_configs=config)
            try:
                admin.create_topics([topic])
            except kafka_errors.TopicAlreadyExistsError:
                continue
        admin.wait_for_topics(topic_names(kafka), timeout_ms=_VISIBLE_MS)
    finally:
        admin.close()


def read_topic(kafka: KafkaSettings, topic: str) -> list[Record]:
    """Every committed record of a topic up to its present end, partition by partition."""
    with contextlib.closing(TopicReader(kafka, topic)) as reader:
        return sorted(reader.read(), key=lambda record: (record.partition, record.offset))


class TopicReader:
    """Reads the committed records of a topic, from its beginning; keeps its place and its connections."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._topic = topic
        self._consumer = _reader(kafka)
        ends = _ends(self._consumer, topic)
        self._consumer.assign(list(ends))
        self._consumer.seek_to_beginning(*ends)

    def read(self) -> list[Record]:
        """What has come since the last time, up to the topic's present end."""
        ends = _ends(self._consumer, self._topic)
        records: list[Record] = []
        while any(self._consumer.position(tp) < end for tp, end in ends.items()):
            for polled in self._consumer.poll(timeout_ms=_POLL_MS, max_records=100_000).values():
                records += polled
        return records

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()


class GroupProgress:
    """How far a consumer group has come on a topic; keeps its connections for being asked again."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin = KafkaAdminClient(**connection_options(kafka))
        self._reader = _reader(kafka)

    def committed(self) -> dict[Partition, int]:
        """The committed position of each partition that has one."""
        offsets = self._admin.list_group_offsets(self._kafka.group_id)[self._kafka.group_id]
        return {Partition(*tp): position.offset for tp, position in offsets.items() if position.offset >= 0}

    def behind(self) -> int:
        """Records of the events topic that are not committed."""
        committed = self.committed()
        ends = _ends(self._reader, self._kafka.events_topic)
        return sum(end - committed.get(Partition(*tp), 0) for tp, end in ends.items())

    def close(self) -> None:
        """Let go of the connections."""
        self._admin.close()
        self._reader.close()


def _reader(kafka: KafkaSettings) -> Any:
    return KafkaConsumer(
        **connection_options(kafka),
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )


def _ends(consumer: Any, topic: str) -> dict[TopicPartition, int]:
    partitions: Iterable[int] = consumer.partitions_for_topic(topic) or ()
    ends: dict[TopicPartition, int] = consumer.end_offsets([TopicPartition(topic, number) for number in partitions])
    return ends
