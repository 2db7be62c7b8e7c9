"""The registry of Kafka clients, from which `DETECTOR_KAFKA__CLIENT` selects one; a new client is added here."""

from typing import NamedTuple


class ClientSpec(NamedTuple):
    """A client library, and the defaults that depend on it."""

    package: str
    """The package in `detector.stream`; its module `client` has a function `load_client`."""
    transaction_records: int
    """Default of `batch.max_records` with exactly-once. A transaction's round trips take the same time for any number
    of records, so large batches are faster; but they need more memory (decision 8)."""


KAFKA_CLIENTS = {
    "kafka-python": ClientSpec("detector.stream.kafka_python", transaction_records=7_000),
    "librdkafka": ClientSpec("detector.stream.librdkafka", transaction_records=10_000),
}
DEFAULT_CLIENT = "kafka-python"
CLIENT_HELP = "Kafka client library: `kafka-python`, or `librdkafka` (install the extra `librdkafka`)"
