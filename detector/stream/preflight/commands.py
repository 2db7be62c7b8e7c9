"""The kafka-*.sh commands that an administrator runs to provide what the service needs."""

from collections.abc import Sequence

from detector.settings import KafkaSettings

_EVENT_BYTES = 10 * 1024 * 1024
"""The default of `DETECTOR_KAFKA__MAX_RECORD_BYTES`."""
_OUTPUT_BYTES = 12 * 1024 * 1024


def max_message_bytes(topic: str, kafka: KafkaSettings) -> int:
    """The `max.message.bytes` that a topic should have: alerts and dead letters are larger than the events inside."""
    return _EVENT_BYTES if topic == kafka.events_topic else _OUTPUT_BYTES


def create_topic_command(topic: str, kafka: KafkaSettings) -> str:
    """The command that creates a topic."""
    return (
        f"kafka-topics.sh --bootstrap-server {kafka.bootstrap_servers} --create --topic {topic} --partitions 4 "
        f"--config max.message.bytes={max_message_bytes(topic, kafka)}"
    )


def grant_command(kind: str, name: str, operations: Sequence[str], kafka: KafkaSettings) -> str:
    """The command that grants operations on a resource (`topic`, `group` or `transactional-id`)."""
    principal = kafka.sasl_plain_username or "NAME"
    options = " ".join(f"--operation {operation.title()}" for operation in operations)
    pattern = " --resource-pattern-type prefixed" if kind == "transactional-id" else ""
    return (
        f"kafka-acls.sh --bootstrap-server {kafka.bootstrap_servers} --add --allow-principal User:{principal} "
        f"{options} --{kind} {name}{pattern}"
    )
