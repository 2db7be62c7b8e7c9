"""From settings to a connected source and sink; waits until brokers and topics are available."""

from collections.abc import Callable
from importlib import import_module

from detector.settings import Guarantee, KafkaSettings
from detector.settings.clients import KAFKA_CLIENTS
from detector.stream.background import in_background
from detector.stream.interfaces import (
    Client,
    Sink,
    Source,
    SourceListener,
    StreamError,
    TransactionalSink,
    UnavailableError,
)
from detector.stream.preflight.commands import create_topic_command
from detector.stream.preflight.reachability import unreachable_reason

_POLL_S = 1.0
Wait = Callable[[str], None]
"""Called with the reason while something is missing; returns when it is time to check again, raises to give up."""


def open_stream(
    kafka: KafkaSettings, guarantee: Guarantee, listener: SourceListener, wait: Wait
) -> tuple[Source, Sink | TransactionalSink]:
    """Connect to the brokers and check that all three topics exist.

    With exactly-once the sink is transactional.

    Raises:
        UsageError: the client library is not installed, or does not support a setting.
        StreamError: the brokers reject this client, or an ACL is missing.
        Whatever `wait` raises.
    """
    client = client_of(kafka)
    while True:
        while (reason := _unreachable_reason(kafka, wait)) is not None:
            wait(f"Kafka brokers unreachable: {reason}")
        try:
            _check_acls(kafka, guarantee)
            with client.translated_errors(kafka.bootstrap_servers):
                return _connect(client, kafka, guarantee, listener, wait)
        except UnavailableError as error:
            wait(
                f"{kafka.bootstrap_servers} accepts connections but does not respond to Kafka requests ({error}): "
                "it may still be starting, or "
                f"DETECTOR_KAFKA__SECURITY_PROTOCOL={kafka.security_protocol} may not match the listener"
            )


def _unreachable_reason(kafka: KafkaSettings, wait: Wait) -> str | None:
    """Ask in the background: each server may take ten seconds, and a stop signal must not wait for them."""
    answer = in_background(lambda: unreachable_reason(kafka))
    while True:
        try:
            return answer.result(_POLL_S)
        except TimeoutError:
            wait(f"Kafka brokers unreachable: no answer yet from {kafka.bootstrap_servers}")


def _check_acls(kafka: KafkaSettings, guarantee: Guarantee) -> None:
    # Always with kafka-python's admin client: librdkafka's cannot tell which operations on a topic are authorized.
    from detector.stream.kafka_python.errors import translated_errors  # noqa: PLC0415
    from detector.stream.preflight.topics_and_acls import missing_acls  # noqa: PLC0415

    with translated_errors(kafka.bootstrap_servers):
        for problem in missing_acls(kafka, guarantee):
            raise StreamError(problem)


def _connect(
    client: Client, kafka: KafkaSettings, guarantee: Guarantee, listener: SourceListener, wait: Wait
) -> tuple[Source, Sink | TransactionalSink]:
    source = client.source(kafka, listener)
    try:
        topics = [kafka.events_topic, kafka.alerts_topic, kafka.dead_letter_topic]
        while missing := source.missing_topics(topics):
            commands = "; ".join(create_topic_command(topic, kafka) for topic in missing)
            wait(f"topics do not exist: {', '.join(missing)}; create them with: {commands}")
        sink = client.sink if guarantee == "at-least-once" else client.transactional_sink
        return source, sink(kafka)
    except BaseException:
        source.close(timeout_s=1)
        raise


def client_of(kafka: KafkaSettings) -> Client:
    """The client library of the settings; no other one is imported.

    Raises:
        UsageError: it is not installed, is of an unsupported version, or does not support a setting.
    """
    package = KAFKA_CLIENTS[kafka.client].package
    client: Client = import_module(f"{package}.client").load_client(kafka)
    return client
