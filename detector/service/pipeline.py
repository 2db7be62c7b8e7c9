"""Read and score one batch while the one before it is on its way."""

from collections.abc import Callable
from time import perf_counter

from detector.errors import DetectorError
from detector.metrics import Metrics
from detector.service.step import BatchStep, Finished, count
from detector.stream.delivery import Delivery, GiveUp
from detector.stream.interfaces import Batch

_NOTHING = Batch([], {})


class Pipeline:
    """Takes batches through decision, delivery and commit, in their order.

    The acknowledgements of a full batch are waited for behind the decisions on the next one, which is there already;
    those of any other at once, for nobody knows when the next one comes. Each batch keeps its order: outputs safe, then
    counted, then the positions committed.

    Args:
        full: so many records make a full batch.
        give_up: asked while a delivery waits; True abandons it.
    """

    def __init__(self, step: BatchStep, delivery: Delivery, metrics: Metrics, full: int, give_up: GiveUp) -> None:
        self._step = step
        self._delivery = delivery
        self._metrics = metrics
        self._full = full
        self._give_up = give_up
        self._on_its_way: Finished | None = None
        self._starting_s = 0.0

    def turn(self, read: Callable[[], Batch]) -> bool:
        """Read a batch and decide on it, settle the one before, and start to deliver this one.

        Returns:
            False when there was no progress: what was read will be read again.

        Raises:
            DetectorError: the stream cannot go on, or too many of the records are no events; the batch before is
                settled all the same.
            DeliveryAbandoned: `give_up` said so.
        """
        try:
            batch = read()
            finished = self._step.run(batch) if batch.records else None
        except DetectorError:
            self.settle()
            raise
        if not self.settle(batch):
            return False
        if finished is None:
            self._delivery.commit(idle=True)  # what an earlier commit left over
            return True
        started = perf_counter()
        self._delivery.start(batch, finished.outputs)
        self._on_its_way, self._starting_s = finished, perf_counter() - started
        return finished.records >= self._full or self.settle()

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
