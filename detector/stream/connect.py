"""From settings to a source and a sink that are known to work, waiting for what is not there yet."""

from collections.abc import Callable

from detector.errors import UsageError
from detector.settings import Guarantee, KafkaSettings
from detector.stream.interfaces import Listener, Sink, Source, StreamError, TransactionalSink
from detector.stream.readiness import how_to_create, unreachable

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
    if kafka.client != "kafka-python":
        raise UsageError("DETECTOR_KAFKA__CLIENT=librdkafka: this version has kafka-python only")
    from kafka import errors as kafka_errors  # noqa: PLC0415 - the client that was chosen, no other

    from detector.stream.inspect import missing_rights  # noqa: PLC0415
    from detector.stream.kafka_faults import explain  # noqa: PLC0415
    from detector.stream.kafka_python import KafkaPythonSource  # noqa: PLC0415
    from detector.stream.kafka_transactions import kafka_sink  # noqa: PLC0415

    def connect() -> tuple[Source, Sink | TransactionalSink]:
        for lack in missing_rights(kafka):
            raise StreamError(lack)
        source = KafkaPythonSource(kafka, listener)
        try:
            topics = [kafka.events_topic, kafka.alerts_topic, kafka.dead_letter_topic]
            while absent := source.missing_topics(topics):
                commands = "; ".join(how_to_create(topic, kafka.bootstrap_servers) for topic in absent)
                wait(f"missing topics: {', '.join(absent)}: create them: {commands}")
            return source, kafka_sink(kafka, guarantee)
        except BaseException:
            source.close(timeout_s=1)
            raise

    while True:
        while (reason := unreachable(kafka)) is not None:
            wait(f"no broker can be reached: {reason}")
        try:
            return connect()
        except kafka_errors.KafkaError as error:
            if not error.retriable:
                raise StreamError(f"{kafka.bootstrap_servers}: {explain(error)}") from error
            wait(
                f"{kafka.bootstrap_servers} accepts connections but does not answer as Kafka ({explain(error)}): is it "
                f"starting, or is DETECTOR_KAFKA__SECURITY_PROTOCOL={kafka.security_protocol} not what it speaks?"
            )
