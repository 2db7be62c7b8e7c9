"""What `detector.stream.connect` needs of kafka-python."""

from detector.process.allocator import keep_freed_memory
from detector.settings import KafkaSettings
from detector.stream.interfaces import Client
from detector.stream.kafka_python import patches


def load_client(_: KafkaSettings) -> Client:
    """The client, with the library's shared parts patched.

    Raises:
        UsageError: this version of kafka-python was not tested with the patches.
    """
    patches.apply()
    from detector.stream.kafka_python.errors import translated_errors  # noqa: PLC0415 - after the version check
    from detector.stream.kafka_python.sink import KafkaPythonSink  # noqa: PLC0415
    from detector.stream.kafka_python.source import KafkaPythonSource  # noqa: PLC0415
    from detector.stream.kafka_python.transactions import kafka_python_transactions  # noqa: PLC0415

    return Client(
        KafkaPythonSource, KafkaPythonSink, kafka_python_transactions, translated_errors, tune_process=keep_freed_memory
    )
