"""From settings to a source and a sink that are known to work, waiting for what is not there yet."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from detector.errors import missing_extra
from detector.settings import Guarantee, KafkaSettings
from detector.stream.background import in_background
from detector.stream.interfaces import Listener, Sink, Source, StreamError, TransactionalSink, UnavailableError
from detector.stream.readiness import how_to_create, unreachable

_PATIENCE_S = 1.0
Wait = Callable[[str], None]
"""Called with the reason while something is missing; returns when it is time to look again, raises to give up."""


def open_stream(
    kafka: KafkaSettings, guarantee: Guarantee, listener: Listener, wait: Wait
) -> tuple[Source, Sink | TransactionalSink]:
    """Connect to the brokers and check that all three topics are there.

    The sink is a transactional one when the guarantee asks for it.

    Raises:
        UsageError: the client library is not to be had.
        StreamError: the brokers refuse this client, or it lacks a right.
        Whatever `wait` raises.
    """
    client = client_of(kafka)
    from detector.stream.inspect import missing_rights  # noqa: PLC0415 - kafka-python asks, whichever client reads
    from detector.stream.kafka_faults import explained  # noqa: PLC0415

    def connect() -> tuple[Source, Sink | TransactionalSink]:
        with explained(kafka.bootstrap_servers):
            for lack in missing_rights(kafka, guarantee):
                raise StreamError(lack)
        with client.explained(kafka.bootstrap_servers):
            source = client.source(kafka, listener)
            try:
                topics = [kafka.events_topic, kafka.alerts_topic, kafka.dead_letter_topic]
                while absent := source.missing_topics(topics):
                    commands = "; ".join(how_to_create(topic, kafka) for topic in absent)
                    wait(f"missing topics: {', '.join(absent)}: create them: {commands}")
                return source, client.sink(kafka, guarantee)
            except BaseException:
                source.close(timeout_s=1)
                raise

    while True:
        while (reason := _unreachable(kafka, wait)) is not None:
            wait(f"no broker can be reached: {reason}")
        try:
            return connect()
        except UnavailableError as error:
            wait(
                f"{kafka.bootstrap_servers} accepts connections but does not answer as Kafka ({error}): is it "
                f"starting, or is DETECTOR_KAFKA__SECURITY_PROTOCOL={kafka.security_protocol} not what it speaks?"
            )


def _unreachable(kafka: KafkaSettings, wait: Wait) -> str | None:
    """See `readiness.unreachable`; each server may take ten seconds, and meanwhile somebody may ask for the stop."""
    answer = in_background(lambda: unreachable(kafka))
    while True:
        try:
            return answer.result(_PATIENCE_S)
        except TimeoutError:
            wait(f"no broker can be reached: no answer yet from {kafka.bootstrap_servers}")


class _OpenedSource(Source, Protocol):
    def missing_topics(self, topics: Sequence[str]) -> list[str]: ...


class Client(NamedTuple):
    """A client library: what it makes, and its errors in our words."""

    source: Callable[[KafkaSettings, Listener], _OpenedSource]
    sink: Callable[[KafkaSettings, Guarantee], Sink | TransactionalSink]
    explained: Callable[[str], AbstractContextManager[None]]


def client_of(kafka: KafkaSettings) -> Client:
    """The client library of the settings.

    Raises:
        UsageError: it is not installed, or has no counterpart for a setting.
    """
    return _kafka_python() if kafka.client == "kafka-python" else _librdkafka(kafka)


# Each imports its library only when it is the chosen one.


def _kafka_python() -> Client:
    from detector.stream.kafka_faults import explained  # noqa: PLC0415
    from detector.stream.kafka_python import KafkaPythonSource  # noqa: PLC0415
    from detector.stream.kafka_transactions import kafka_sink  # noqa: PLC0415

    return Client(KafkaPythonSource, kafka_sink, explained)


def _librdkafka(kafka: KafkaSettings) -> Client:
    try:
        import confluent_kafka  # noqa: F401, PLC0415 - first, so that no other missing module is taken for it
    except ModuleNotFoundError as error:
        raise missing_extra("librdkafka", "DETECTOR_KAFKA__CLIENT=librdkafka") from error
    from detector.stream.librdkafka_faults import explained  # noqa: PLC0415
    from detector.stream.librdkafka_options import consumer_options  # noqa: PLC0415
    from detector.stream.librdkafka_sink import librdkafka_sink  # noqa: PLC0415
    from detector.stream.librdkafka_source import LibrdkafkaSource  # noqa: PLC0415

    consumer_options(kafka)  # before anything is asked of the brokers: settings that it cannot take
    return Client(LibrdkafkaSource, librdkafka_sink, explained)
