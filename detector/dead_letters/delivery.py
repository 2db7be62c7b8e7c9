"""Records written with certainty: each is acknowledged, or somebody is told."""

import time
from collections.abc import Callable, Sequence

from detector.errors import DetectorError
from detector.records import OutgoingRecord, Partition
from detector.stream.kafka_python import KafkaPythonSink

_PATIENCE_S = 60.0
"""How long a batch may take; a rolling restart of brokers is shorter."""
_RETRY_S = 0.5

Pause = Callable[[float], bool]
"""Sleeps, but no longer than until somebody asks to stop; True when that was asked for."""
Arrived = Callable[[Sequence[tuple[Partition, int]]], None]
"""Called with where records arrived, as soon as that is known."""


def deliver(sink: KafkaPythonSink, records: Sequence[OutgoingRecord], arrived: Arrived, pause: Pause) -> None:
    """Write records and return once each is acknowledged, sending again what was refused for the moment.

    A stop is heeded between two attempts: what is on its way is waited for, so that the count is right.

    Raises:
        DetectorError: a record was refused for good, or the topic takes nothing for long.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while records and not pause(0):
        topic = records[0].topic
        pending = sink.send(records)
        done = pending.wait(max(0.0, deadline - time.monotonic()))
        arrived(pending.written())
        if not done:
            raise DetectorError(f"topic {topic}: no acknowledgement within {_PATIENCE_S:g} s")
        refusals = pending.refused()
        late = time.monotonic() > deadline
        for record, error, final in ((refusal.record, refusal.error, refusal.final) for refusal in refusals):
            if final or late:
                raise DetectorError(f"topic {topic} refuses a record of {len(record.value or b'')} bytes: {error}")
        records = [refusal.record for refusal in refusals]
        if records:
            pause(_RETRY_S)
