"""How a consumer of kafka-python fetches: it asks its thread as rarely as can be, and leaves nothing behind."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher

from detector.stream.kafka_batches import FetchedRecords, Unplaced

_NEXT_LOOK_S = 0.1


def fetch_quickly(consumer: KafkaConsumer) -> None:
    """Let a consumer give `Unplaced` records in the place of its own, and wait rarely for its thread.

    There is no public way to any of this.
    """
    fetcher, coordinator, client = consumer._fetcher, consumer._coordinator, consumer._client  # noqa: SLF001
    fetcher.__class__ = QuickFetcher
    find_coordinator, time_to_next_poll = coordinator.ensure_coordinator_ready, coordinator.time_to_next_poll

    def ensure_coordinator_ready(timeout_ms: float | None = None) -> Any:
        # Its own would ask its thread, with each poll.
        return client.connected(coordinator.coordinator_id) or find_coordinator(timeout_ms)

    def time_to_next_look() -> float:
        # Heartbeats are its thread's. While one is not answered its own says 0: a frozen broker would keep a core busy.
        return max(_NEXT_LOOK_S, float(time_to_next_poll()))

    coordinator.ensure_coordinator_ready, coordinator.time_to_next_poll = ensure_coordinator_ready, time_to_next_look


class QuickFetcher(Fetcher):  # type: ignore[misc] # kafka-python has no types
    """kafka-python's own, but for the calls between its thread and the one that polls.

    When there are records already, the next ones are asked for while these are worked on.

    When there are none, it waits without an error. kafka-python's own wait ends in one when the time is up, which keeps
    itself alive, and with it every frame that led to the wait, and the batch that these held: half of all records lay
    about until the garbage was collected, which took 40 to 160 ms, every two seconds.

    An answer that comes while more is asked for is taken. kafka-python's own finds nothing to ask for then, takes this
    for a sign that there is nothing to wait for, and sleeps 100 ms.
    """

    PartitionRecords = FetchedRecords
    _asking: Any = None

    def fetch_records(
        self,
        max_records: int | None = None,
        update_offsets: bool = True,  # noqa: FBT002 - as the library has it
        timeout_ms: float | None = None,
    ) -> tuple[Mapping[TopicPartition, Sequence[Unplaced]], bool]:
        """The records that are there, or come within the time; and whether there is nothing that could come.

        Raises:
            KafkaError: as kafka-python's own; that of a request behind earlier records comes here as well.
        """
        self._end_asking()
        records, has_more = self.fetched_records(max_records, update_offsets=update_offsets)
        if records:
            if not has_more:
                self._asking = self._manager.call_soon(self._send_fetches_async)
            return records, False
        if not has_more:
            self.send_fetches()
        if not self._completed_fetches:  # nor did any come meanwhile
            coming = list(self._fetch_futures)
            if self._reset_task is not None and not self._reset_task.is_done:
                coming.append(self._reset_task)
            if not coming:
                return {}, True
            _wait(coming, timeout_ms)
        return self.fetched_records(max_records, update_offsets=update_offsets)[0], False

    def _end_asking(self) -> None:
        """The request for more goes by what was taken so far: nothing more is taken before it is on its way."""
        asking, self._asking = self._asking, None
        if asking is None:
            return
        if not asking.is_done:
            self._manager.run(asking)
        elif asking.exception is not None:
            raise asking.exception


def _wait(futures: Sequence[Any], timeout_ms: float | None) -> None:
    """Until one of the futures is done."""
    done = threading.Event()
    for future in futures:
        future.add_both(lambda _: done.set())
    done.wait(None if timeout_ms is None else timeout_ms / 1000)
