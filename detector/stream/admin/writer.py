"""Writes records for commands such as `dead-letter replay`: each is acknowledged, or the caller gets an error."""

import contextlib
import time
from collections.abc import Callable, Sequence

from kafka import KafkaAdminClient, KafkaProducer
from kafka import errors as kafka_errors

from detector.errors import DetectorError
from detector.records import OutgoingRecord, Partition
from detector.settings import KafkaSettings
from detector.stream.admin.topics import partition_numbers
from detector.stream.kafka_python.options import connection_options, unpatched_producer_options
from detector.stream.kafka_python.records import NullSerializer
from detector.stream.kafka_python.sink import SentRecords, try_to_send

_TIMEOUT_S = 60.0
"""How long a batch may take; a rolling restart of brokers is shorter."""
_RETRY_S = 0.5

Pause = Callable[[float], bool]
"""Sleeps, at most until a stop is requested; True when it was."""
Written = Callable[[Sequence[tuple[Partition, int]]], None]
"""Called with the partitions and offsets of records, as soon as they are known."""


class Writer:
    """Writes records; sends failed ones again unless a retry cannot help."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin = KafkaAdminClient(**connection_options(kafka))
        self._producer = KafkaProducer(**unpatched_producer_options(kafka), value_serializer=NullSerializer())

    def write(self, records: Sequence[OutgoingRecord], written: Written, pause: Pause) -> None:
        """Return once each record is acknowledged.

        After a stop request it waits for records in flight, so that the count is right, and starts no new attempt.

        Raises:
            DetectorError: the topic does not exist, a broker rejected a record and a retry cannot help, or 60 s were
                not enough.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        while records and not pause(0):
            topic = records[0].topic
            # A producer would create a topic that was deleted meanwhile, where brokers permit it.
            partition_numbers(self._admin, self._kafka, [topic])
            sent = [(record, try_to_send(self._producer, record)) for record in records]
            pending = SentRecords(self._producer, sent)
            done = pending.wait(max(0.0, deadline - time.monotonic()))
            written(pending.written())
            if not done:
                raise DetectorError(
                    f"topic {topic}: no acknowledgement within {_TIMEOUT_S:g} s; check the brokers with "
                    "`detector check --connect`"
                )
            failed = pending.failed()
            is_late = time.monotonic() > deadline
            for failure in failed:
                if failure.is_fatal or is_late:
                    size = len(failure.record.value or b"")
                    raise DetectorError(
                        f"topic {topic} rejects a record of {size} bytes: {failure.error}; raise max.message.bytes of "
                        "the topic or grant the missing ACL"
                    )
            records = [failure.record for failure in failed]
            if records:
                pause(_RETRY_S)

    def close(self, timeout_s: float) -> None:
        """Close the connections; records in flight may be lost."""
        with contextlib.suppress(kafka_errors.KafkaError):  # it flushes again; errors were reported by `write`
            self._producer.close(timeout=timeout_s)
        self._admin.close()
