"""Read and score one batch while the one before it is on its way."""

import contextlib
from collections.abc import Callable
from time import monotonic, perf_counter

from detector.errors import DetectorError
from detector.metrics import Metrics
from detector.service.step import BatchStep, Finished, count
from detector.stream.delivery import Delivery, DeliveryAbandoned, GiveUp
from detector.stream.interfaces import Batch

_NOTHING = Batch([], {})
_LAST_S = 3.0
"""How long the batch that is on its way is waited for when nothing can come behind it."""

Read = Callable[[float], Batch]
"""Reads the next batch; waits this long for its first record, in seconds."""


class Pipeline:
    """Takes batches through decision, delivery and commit, in their order.

    The acknowledgements of a full batch are waited for behind the decisions on the next one, which is there already;
    those of any other at once, for nobody knows when the next one comes. Each batch keeps its order: outputs safe, then
    counted, then the positions committed.

    Args:
        full: so many records make a full batch.
        idle_s: how long to wait for records.
        busy_s: the same while a batch is on its way, whose figures and positions wait meanwhile.
        give_up: asked while a delivery waits; True abandons it.
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
    ) -> None:
        self._step = step
        self._delivery = delivery
        self._metrics = metrics
        self._full = full
        self._idle_s = idle_s
        self._busy_s = busy_s
        self._give_up = give_up
        self._on_its_way: Finished | None = None
        self._starting_s = 0.0

    def turn(self, read: Read) -> bool:
        """Read a batch and decide on it, settle the one before, and start to deliver this one.

        Returns:
            Whether a batch was finished, or there was nothing to read.

        Raises:
            DetectorError: the stream cannot go on, or too many of the records are no events; the batch before is
                settled all the same, if that takes no longer than three seconds.
            DeliveryAbandoned: `give_up` said so.
        """
        was_on_its_way = self._on_its_way is not None
        try:
            batch = read(self._busy_s if was_on_its_way else self._idle_s)
            finished = self._step.run(batch) if batch.records else None
        except DetectorError:
            self._settle_at_last()
            raise
        if not self.settle(batch):
            return False
        if finished is None:
            self._delivery.commit(idle=True)  # what an earlier commit left over
            return True
        if self._give_up():
            raise DeliveryAbandoned
        started = perf_counter()
        self._delivery.start(batch, finished.outputs)
        self._on_its_way, self._starting_s = finished, perf_counter() - started
        return was_on_its_way if finished.records >= self._full else self.settle()

    def _settle_at_last(self) -> None:
        """Settle what is on its way if that is quick; whatever is in its way, the error that ends it all is another."""
        give_up, until = self._give_up, monotonic() + _LAST_S
        self._give_up = lambda: give_up() or monotonic() > until
        with contextlib.suppress(DetectorError, DeliveryAbandoned):
            self.settle()

    def settle(self, ahead: Batch = _NOTHING) -> bool:
        """Wait until the batch that is on its way is safe, count it and commit it.

        Args:
            ahead: what was read meanwhile.

        Returns:
            False when it will be read again, and `ahead` too.

        Raises:
            StreamError: a record or a right is in the way that no retry changes.
            DeliveryAbandoned: `give_up` said so.
        """
        finished, self._on_its_way = self._on_its_way, None
        if finished is None:
            return True
        started = perf_counter()
        if not self._delivery.settle(ahead, self._give_up):
            self._step.undo(finished)
            return False
        self._metrics.stage_duration.observe(self._starting_s + perf_counter() - started, "deliver")
        count(finished, self._metrics)
        self._metrics.batches.inc()
        self._delivery.commit(idle=False)
        return True
