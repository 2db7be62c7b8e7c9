"""What `detector.stream.connect` needs of librdkafka."""

from detector.errors import missing_extra
from detector.settings import KafkaSettings
from detector.stream.interfaces import Client


def load_client(kafka: KafkaSettings) -> Client:
    """The client, for settings that it supports.

    Raises:
        UsageError: it is not installed, or does not support a setting.
    """
    try:
        import confluent_kafka  # noqa: F401, PLC0415 - first, so that no other missing module is mistaken for it
    except ModuleNotFoundError as error:
        raise missing_extra("librdkafka", "DETECTOR_KAFKA__CLIENT=librdkafka") from error
    from detector.stream.librdkafka.errors import translated_errors  # noqa: PLC0415
    from detector.stream.librdkafka.options import consumer_options  # noqa: PLC0415
    from detector.stream.librdkafka.sink import LibrdkafkaSink  # noqa: PLC0415
    from detector.stream.librdkafka.source import LibrdkafkaSource  # noqa: PLC0415
    from detector.stream.librdkafka.transactions import librdkafka_transactions  # noqa: PLC0415

    consumer_options(kafka)  # raises for settings that librdkafka does not support, before any broker is asked
    return Client(LibrdkafkaSource, LibrdkafkaSink, librdkafka_transactions, translated_errors)
