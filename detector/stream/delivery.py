"""The delivery guarantee: in which order outputs are acknowledged and positions committed."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from detector.records import OutgoingRecord, Partition
from detector.stream.interfaces import Alive, Batch, CommitError, Refusal, Sink, Source, StreamError

_FIRST_WAIT_S = 1.0
"""How long delivery may take before reading is paused."""
_NEXT_WAIT_S = 0.5
"""Between two signs of life while it waits."""
_RETRY_S = 0.5
"""Before refused records are sent again."""


class DeliveryAbandoned(Exception):  # noqa: N818 - asked for, by a shutdown
    """Delivery was given up before every record was acknowledged; nothing of the batch was committed."""


class DeliveryObserver(Protocol):
    """Hears what delivery goes through."""

    def delivery_waits(self) -> None:
        """Acknowledgements take long; reading is paused meanwhile."""
        ...

    def delivery_resumed(self) -> None:
        """Everything was acknowledged after all; reading goes on."""
        ...

    def delivery_refused(self, refusals: Sequence[Refusal]) -> None:
        """Records were refused; they are sent again."""
        ...

    def committed(self, seconds: float) -> None:
        """A commit succeeded, this long after it was started."""
        ...

    def commit_failed(self, error: CommitError) -> None:
        """A commit did not succeed; the next one includes its positions."""
        ...


class AtLeastOnce:
    """Every output is acknowledged before any position of its batch is committed.

    In this order: send; wait for each acknowledgement, sending again what was refused; commit. A crash before the
    commit means the same batch again, with the same alert ids; a commit that fails is made up for by the next.
    """

    def __init__(self, source: Source, sink: Sink, observer: DeliveryObserver, alive: Alive) -> None:
        self._source = source
        self._sink = sink
        self._observer = observer
        self._alive = alive
        self._uncommitted: dict[Partition, int] = {}

    def deliver(self, records: Sequence[OutgoingRecord], give_up: Callable[[], bool]) -> None:
        """Write records and return once each is acknowledged.

        Args:
            records: the outputs of one batch.
            give_up: asked while waiting; True abandons.

        Raises:
            DeliveryAbandoned: `give_up` said so.
            StreamError: a record was refused in a way that no retry changes.
        """
        waiting = False
        try:
            while records:
                pending = self._sink.send(records)
                done = pending.wait(_FIRST_WAIT_S)
                while not done:
                    if not waiting:
                        waiting = True
                        self._source.pause()
                        self._observer.delivery_waits()
                    self._stay_alive(give_up)
                    done = pending.wait(_NEXT_WAIT_S)
                refusals = pending.refused()
                if refusals:
                    self._observer.delivery_refused(refusals)
                    self._raise_final(refusals)
                    self._stay_alive(give_up)
                    time.sleep(_RETRY_S)
                records = [refusal.record for refusal in refusals]
        finally:
            if waiting:
                self._source.resume()
                self._observer.delivery_resumed()

    def commit(self, batch: Batch) -> None:
        """Commit the positions behind a batch whose outputs are safe, and those that earlier commits left over.

        It does not wait: the next batch is read meanwhile, and a commit that fails costs nothing but a later one.
        """
        self._uncommitted |= batch.next_offsets
        if self._uncommitted:
            attempt, started = dict(self._uncommitted), time.perf_counter()
            self._source.commit(attempt, lambda error: self._commit_done(attempt, started, error))

    def finish(self, timeout_s: float) -> None:
        """Commit whatever is left, and wait for it."""
        if not self._uncommitted:
            return
        started = time.perf_counter()
        try:
            self._source.commit_now(self._uncommitted, timeout_s)
        except CommitError as error:
            self._observer.commit_failed(error)
        else:
            self._commit_done(dict(self._uncommitted), started, None)

    def _commit_done(self, attempt: Mapping[Partition, int], started: float, error: CommitError | None) -> None:
        if error is not None:
            self._observer.commit_failed(error)
            return
        self._observer.committed(time.perf_counter() - started)
        for partition, offset in attempt.items():
            if self._uncommitted.get(partition) == offset:
                del self._uncommitted[partition]

    def _stay_alive(self, give_up: Callable[[], bool]) -> None:
        self._alive()
        self._source.keep_alive()
        if give_up():
            raise DeliveryAbandoned

    @staticmethod
    def _raise_final(refusals: Sequence[Refusal]) -> None:
        for record, error, final in ((r.record, r.error, r.final) for r in refusals):
            if final:
                size = len(record.value or b"")
                raise StreamError(
                    f"topic {record.topic} refuses a record of {size} bytes: {error}: its batch is not committed; "
                    "permit it (max.message.bytes of the topic, rights of this client), then start again"
                )
