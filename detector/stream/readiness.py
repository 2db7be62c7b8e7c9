"""Before a client is made: are the brokers there, do they let it in, and do the topics exist."""

from collections.abc import Sequence

from detector.settings import KafkaSettings
from detector.stream.interfaces import StreamError
from detector.stream.kafka_options import bootstrap_servers
from detector.stream.probe import brokers_behind

_EVENT_BYTES = 10 * 1024 * 1024
"""What `DETECTOR_KAFKA__MAX_RECORD_BYTES` is by default: a larger one is read, but not written."""
_OUTPUT_BYTES = 12 * 1024 * 1024


def unreachable(kafka: KafkaSettings) -> str | None:
    """Try each server in turn; None as soon as one lets this client in, else why none can be reached.

    kafka-python says only that it cannot bootstrap, and leaves a thread behind each time it tried.

    Raises:
        StreamError: none lets this client in, and waiting does not change that: TLS or the login fails.
        UsageError: the certificates of the settings cannot be used.
    """
    return _first_that_works(bootstrap_servers(kafka), kafka, follow=True)


def _first_that_works(servers: Sequence[str], kafka: KafkaSettings, *, follow: bool) -> str | None:
    reasons, refusals = [], []
    for server in servers:
        try:
            behind = brokers_behind(server, kafka)
            if follow and behind and server not in behind:
                reason = _first_that_works(behind, kafka, follow=False)
                if reason is not None:
                    reasons.append(f"{server} leads on to its advertised.listeners: {reason}")
                    continue
        except StreamError as error:
            refusals.append(error)
        except OSError as error:
            reasons.append(f"{server}: {error.strerror or error}")
        else:
            return None
    if refusals:
        raise refusals[0]
    return "; ".join(reasons)


def largest_message(topic: str, kafka: KafkaSettings) -> int:
    """The bytes that a topic should permit: the outputs', more than the events', whose envelope they are."""
    return _EVENT_BYTES if topic == kafka.events_topic else _OUTPUT_BYTES


def how_to_create(topic: str, kafka: KafkaSettings) -> str:
    """The command that creates a missing topic."""
    return (
        f"kafka-topics.sh --bootstrap-server {kafka.bootstrap_servers} --create --topic {topic} --partitions 4 "
        f"--config max.message.bytes={largest_message(topic, kafka)}"
    )


def how_to_permit(kind: str, name: str, rights: Sequence[str], kafka: KafkaSettings) -> str:
    """The command that grants missing rights."""
    principal = kafka.sasl_plain_username or "NAME"
    operations = " ".join(f"--operation {right.title()}" for right in rights)
    pattern = " --resource-pattern-type prefixed" if kind == "transactional-id" else ""
    return (
        f"kafka-acls.sh --bootstrap-server {kafka.bootstrap_servers} --add --allow-principal User:{principal} "
        f"{operations} --{kind} {name}{pattern}"
    )
