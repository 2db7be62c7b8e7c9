"""Topics: created, checked, and read whole."""

from collections.abc import Sequence

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import NewTopic

from detector.errors import DetectorError
from detector.records import Record
from detector.settings import KafkaSettings
from detector.stream.kafka_python.errors import describe
from detector.stream.kafka_python.options import connection_options
from detector.stream.preflight.commands import create_topic_command, max_message_bytes

_VISIBLE_MS = 30_000
_POLL_MS = 1000


def topic_names(kafka: KafkaSettings) -> tuple[str, str, str]:
    """Events, alerts, dead letters."""
    return kafka.events_topic, kafka.alerts_topic, kafka.dead_letter_topic


def create_topics(kafka: KafkaSettings, partitions: int, configs: dict[str, dict[str, str]] | None = None) -> None:
    """Create the three topics of the settings, and wait until all have leaders; existing topics are not changed."""
    admin = KafkaAdminClient(**connection_options(kafka))
    try:
        for name in topic_names(kafka):
            config = {"max.message.bytes": str(max_message_bytes(name, kafka))} | (configs or {}).get(name, {})
            topic = NewTopic(name=name, num_partitions=partitions, replication_factor=1, topic_configs=config)
            try:
                admin.create_topics([topic])
            except kafka_errors.TopicAlreadyExistsError:
                continue
        admin.wait_for_topics(topic_names(kafka), timeout_ms=_VISIBLE_MS)
    finally:
        admin.close()


def require_topics(kafka: KafkaSettings, names: Sequence[str]) -> dict[str, list[int]]:
    """The partition numbers of each topic.

    Asked with an admin client, because a producer that looks up a missing topic creates it where brokers permit that.

    Raises:
        DetectorError: a topic does not exist, or cannot be described.
        KafkaError: the brokers did not answer.
    """
    admin = KafkaAdminClient(**connection_options(kafka))
    try:
        return partition_numbers(admin, kafka, names)
    finally:
        admin.close()


def partition_numbers(admin: KafkaAdminClient, kafka: KafkaSettings, names: Sequence[str]) -> dict[str, list[int]]:
    """`require_topics` with an admin client that is already connected."""
    described = {topic["name"]: topic for topic in admin.describe_topics(list(names))}
    return {name: _partitions(name, described[name], kafka) for name in names}


def _partitions(name: str, topic: dict[str, Sequence[dict[str, int]]], kafka: KafkaSettings) -> list[int]:
    error = kafka_errors.for_code(topic["error_code"])
    if error is kafka_errors.UnknownTopicOrPartitionError:
        raise DetectorError(f"topic {name} does not exist; create it with: {create_topic_command(name, kafka)}")
    if error is not kafka_errors.NoError:
        raise DetectorError(f"topic {name}: {describe(error())}; check it with `detector check --connect`")
    return sorted(partition["partition_index"] for partition in topic["partitions"])


def read_topic(kafka: KafkaSettings, topic: str) -> list[Record]:
    """Every committed record of a topic up to its present end, sorted by partition; for topics that fit in memory."""
    consumer = KafkaConsumer(**reader_options(kafka))
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        ends = consumer.end_offsets(partitions)
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        records: list[Record] = []
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for polled in consumer.poll(timeout_ms=_POLL_MS, max_records=100_000).values():
                records += polled
    finally:
        consumer.close()
    return sorted(records, key=lambda record: (record.partition, record.offset))


def reader_options(kafka: KafkaSettings) -> dict[str, object]:
    """Options of a consumer that joins no group, commits nothing and sees only committed records."""
    return {
        **connection_options(kafka),
        "group_id": None,
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "auto_offset_reset": "earliest",  # retention may overtake a reader: it continues with the records that are left
    }
