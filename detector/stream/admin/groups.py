"""How far a consumer group has read."""

from collections.abc import Iterable

from kafka import KafkaAdminClient, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import OffsetSpec

from detector.records import Partition
from detector.settings import KafkaSettings
from detector.stream.admin.topics import partition_numbers
from detector.stream.kafka_python.options import connection_options


class GroupProgress:
    """The committed offsets of the consumer group in the settings, asked over one connection."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin = KafkaAdminClient(**connection_options(kafka))

    def committed(self) -> dict[Partition, int]:
        """The committed offset of each partition that has one; none while the group coordinator is unavailable."""
        try:
            offsets = self._admin.list_group_offsets(self._kafka.group_id)[self._kafka.group_id]
        except kafka_errors.KafkaError as error:
            if not error.retriable:
                raise
            return {}
        return {Partition(*tp): committed.offset for tp, committed in offsets.items() if committed.offset >= 0}

    def lag(self) -> int:
        """Records of the events topic that are not committed."""
        topic = self._kafka.events_topic
        partitions = [
            Partition(topic, number) for number in partition_numbers(self._admin, self._kafka, [topic])[topic]
        ]
        committed = self.committed()
        return sum(end - committed.get(partition, 0) for partition, end in self.log_ends(partitions).items())

    def log_ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset after the last record of each partition, including records of open transactions."""
        found = self._admin.list_partition_offsets({TopicPartition(*tp): OffsetSpec.LATEST for tp in partitions})
        return {Partition(*tp): at.offset for tp, at in found.items()}

    def close(self) -> None:
        """Close the connection."""
        self._admin.close()
