"""Connecting to Kafka at the start of the service, with each client."""

import pytest

from detector.settings.clients import KAFKA_CLIENTS
from detector.stream.connect import open_stream
from detector.stream.interfaces import TransactionalSink
from detector.stream.kafka_python.source import KafkaPythonSource
from detector.stream.librdkafka.source import LibrdkafkaSource
from tests.stream.listeners import RecordingListener
from tests.stream.reading import closing

SOURCES = {"kafka-python": KafkaPythonSource, "librdkafka": LibrdkafkaSource}


class EnoughError(Exception):
    """Ends a test's wait."""


def reasons_to_wait(kafka, number):
    """The first reasons for which `open_stream` waits."""
    reasons: list[str] = []

    def wait(reason: str) -> None:
        reasons.append(reason)
        if len(reasons) == number:
            raise EnoughError

    with pytest.raises(EnoughError):
        open_stream(kafka, "at-least-once", RecordingListener(), wait)
    return reasons


@pytest.mark.parametrize("client", KAFKA_CLIENTS)
def test_start_waits_for_unreachable_brokers(kafka, client):
    """Otherwise a service that starts before its brokers would stop, or not say what it waits for."""
    unreachable = kafka.model_copy(update={"client": client, "bootstrap_servers": "127.0.0.1:1"})

    reasons = reasons_to_wait(unreachable, 2)

    assert reasons[0] == "Kafka brokers unreachable: 127.0.0.1:1: Connection refused"


@pytest.mark.parametrize("client", KAFKA_CLIENTS)
def test_start_waits_for_missing_topics(kafka, client):
    """Otherwise a service that starts before its topics would stop, or not say which command creates them."""
    without_topic = kafka.model_copy(update={"client": client, "alerts_topic": "nowhere"})

    (reason,) = reasons_to_wait(without_topic, 1)

    assert "topics do not exist: nowhere; create them with: kafka-topics.sh" in reason


@pytest.mark.parametrize("client", KAFKA_CLIENTS)
def test_settings_choose_client_and_guarantee(kafka, client):
    """Otherwise DETECTOR_KAFKA__CLIENT or DETECTOR_DELIVERY__GUARANTEE would have no effect."""
    settings = kafka.model_copy(update={"client": client})

    def wait(reason: str) -> None:
        raise AssertionError(reason)

    source, sink = open_stream(settings, "exactly-once", RecordingListener(), wait)

    with closing(source), closing(sink):
        assert type(source) is SOURCES[client]
        assert isinstance(sink, TransactionalSink)
