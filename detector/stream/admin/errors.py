"""The client library's errors as one line for a person."""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors as kafka_errors

from detector.errors import DetectorError
from detector.settings import KafkaSettings
from detector.stream.kafka_python.errors import describe
from detector.stream.preflight.reachability import unreachable_reason


@contextmanager
def reported_errors(kafka: KafkaSettings) -> Iterator[None]:
    """Check that a broker is reachable; within the block, errors of the library become `DetectorError`.

    Raises:
        DetectorError: no broker is reachable, or a request failed.
    """
    reason = unreachable_reason(kafka)
    if reason is not None:
        raise DetectorError(
            f"Kafka brokers unreachable: {reason}; check DETECTOR_KAFKA__BOOTSTRAP_SERVERS and that the brokers are up"
        )
    try:
        yield
    except kafka_errors.KafkaError as error:
        raise DetectorError(
            f"{kafka.bootstrap_servers}: {describe(error)}; check the brokers with `detector check --connect`"
        ) from error
