"""Reads and scores one batch while the previous one is in flight."""

import contextlib
from collections.abc import Callable, Sequence
from time import monotonic, perf_counter

from detector.errors import DetectorError
from detector.metrics import Metrics
from detector.service.causes import Cause
from detector.service.step import BatchStep, ScoredBatch, count
from detector.stream.delivery import Delivery, DeliveryAbandoned, GiveUp
from detector.stream.interfaces import Batch

_NOTHING = Batch([], {})
_LAST_BATCH_S = 3.0
"""How long the batch in flight is awaited after an error that ends the service."""

Read = Callable[[float], Batch]
"""Reads the next batch; the argument is how long to wait for its first record, in seconds."""


class Pipeline:
    """Takes batches through scoring, delivery and offset commit, in order.

    After a full batch the next one is usually available, so it is read and scored before the acknowledgements of the
    full one are awaited. After any other batch they are awaited at once, because the next batch may come late. Within a
    batch the order is fixed: outputs acknowledged, metrics updated, offsets committed.

    Args:
        step: decodes and scores.
        delivery: the delivery guarantee.
        metrics: updated after each acknowledged batch.
        full: how many records make a batch full.
        idle_s: seconds to wait for the first record of a batch.
        busy_s: the same while another batch is in flight, whose metrics and offsets wait meanwhile.
        give_up: called while a delivery waits; True abandons it.
        on_dead_letters: called with the causes of a batch's dead letters once they are acknowledged.
    """

    def __init__(
        self,
        step: BatchStep,
        delivery: Delivery,
        metrics: Metrics,
        *,
        full: int,
        idle_s: float,
        busy_s: float,
        give_up: GiveUp,
        on_dead_letters: Callable[[Sequence[Cause]], None],
    ) -> None:
        self._step = step
        self._delivery = delivery
        self._metrics = metrics
        self._full = full
        self._idle_s = idle_s
        self._busy_s = busy_s
        self._give_up = give_up
        self._on_dead_letters = on_dead_letters
        self._in_flight: ScoredBatch | None = None
        self._starting_s = 0.0

    def run_once(self, read: Read) -> bool:
        """Read and score a batch, settle the previous one, and start to deliver this one.

        Returns:
            Whether a batch was settled, or there was nothing to read.

        Raises:
            DetectorError: the stream cannot continue, or too many records are invalid; the previous batch is settled
                nevertheless, if that takes at most three seconds.
            DeliveryAbandoned: `give_up` returned True.
        """
        was_in_flight = self._in_flight is not None
        try:
            batch = read(self._busy_s if was_in_flight else self._idle_s)
            scored = self._step.run(batch) if batch.records else None
        except DetectorError:
            self._try_to_settle()
            raise
        if not self.settle(batch):
            return False
        if scored is None:
            self._delivery.commit(idle=True)  # offsets of an earlier commit that failed
            return True
        if self._give_up():
            raise DeliveryAbandoned
        started = perf_counter()
        self._delivery.start(batch, scored.outputs)
        self._in_flight, self._starting_s = scored, perf_counter() - started
        return was_in_flight if scored.records >= self._full else self.settle()

    def _try_to_settle(self) -> None:
        """Settle the batch in flight, for at most 3 s; an error here must not hide the one that ends the service."""
        give_up, until = self._give_up, monotonic() + _LAST_BATCH_S
        self._give_up = lambda: give_up() or monotonic() > until
        with contextlib.suppress(DetectorError, DeliveryAbandoned):
            self.settle()

    def settle(self, ahead: Batch = _NOTHING) -> bool:
        """Wait until the batch in flight is acknowledged, update its metrics and commit its offsets.

        Args:
            ahead: the batch that was read meanwhile.

        Returns:
            False when it was aborted and will be read again, like `ahead`.

        Raises:
            StreamError: no retry can help: a record is not accepted, or a right is missing.
            DeliveryAbandoned: `give_up` returned True.
        """
        batch, self._in_flight = self._in_flight, None
        if batch is None:
            return True
        started = perf_counter()
        if not self._delivery.settle(ahead, self._give_up):
            self._step.undo(batch)
            return False
        self._metrics.stage_duration.observe(self._starting_s + perf_counter() - started, "deliver")
        count(batch, self._metrics)
        self._metrics.batches.inc()
        if batch.causes:
            self._on_dead_letters(batch.causes)
        self._delivery.commit(idle=False)
        return True
