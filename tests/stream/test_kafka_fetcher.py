"""How kafka-python's consumer fetches, on the real broker."""

import gc
import time
import weakref

import pytest
from kafka import errors as kafka_errors

from detector.records import OutgoingRecord
from detector.stream.interfaces import StreamError
from detector.stream.kafka_python import KafkaPythonSink, KafkaPythonSource
from tests.contract.test_stream import Heard
from tests.helpers import alive_until, wait_until, write_all


@pytest.fixture
def source(kafka):
    sink = KafkaPythonSink(kafka)
    write_all(sink, [OutgoingRecord(kafka.events_topic, b"same", b"x", [])] * 20)
    sink.close(5)
    opened = KafkaPythonSource(kafka, Heard())
    yield opened
    opened.close(5)


def test_batch_that_waited_for_more_in_vain_is_gone_when_it_is_let_go(source):
    """An error that ends a wait would keep it alive, with everything that waited, until the garbage is collected."""
    gc.disable()
    try:
        batch = wait_until(lambda: (read := source.poll(100, 0.2, 0.2)).records and read, "records")
        assert len(batch.records) == 20
        records = weakref.ref(batch.records)
        del batch

        assert records() is None
    finally:
        gc.enable()


def test_asking_for_more_ends_before_more_is_taken(source):
    """It goes by what was taken so far: at another moment it would ask for the same records again."""
    wait_until(lambda: source.poll(1, 0, 0.2).records, "the first record")
    fetcher = source._consumer._fetcher
    order = []

    async def slowly():
        await fetcher._net.sleep(0.2)
        order.append("asked")

    taken = fetcher.fetched_records
    fetcher.fetched_records = lambda *given, **named: order.append("taken") or taken(*given, **named)
    fetcher._asking = fetcher._manager.call_soon(slowly)
    while "asked" not in order or order[-1] == "asked":
        assert len(source.poll(1, 0, 0.2).records) <= 1

    assert order[0] == "asked"


@pytest.mark.parametrize("wait_s", [0, 0.2])
def test_error_in_asking_for_more_is_raised(source, wait_s):
    """By the next poll, as it would be if that had asked; whether it comes before that poll or in it."""
    wait_until(lambda: source.poll(1, 0, 0.2).records, "the first record")
    fetcher = source._consumer._fetcher

    async def fail():
        await fetcher._net.sleep(wait_s)
        raise kafka_errors.TopicAuthorizationFailedError("topic")

    asking = fetcher._asking = fetcher._manager.call_soon(fail)
    wait_until(lambda: wait_s or asking.is_done, "the error")

    with pytest.raises(StreamError, match="TopicAuthorizationFailedError"):
        source.poll(1, 0, 0.2)


def test_unanswered_heartbeat_does_not_make_polls_spin(source, monkeypatch):
    """While it is on its way the next one is due at once, to kafka-python: a frozen broker would keep a core busy."""
    wait_until(lambda: len(source.poll(100, 0.2, 0.2).records) == 20, "all that there is")
    group, fetcher = source._consumer._coordinator, source._consumer._fetcher
    monkeypatch.setattr(group, "time_to_next_heartbeat", lambda: 0)
    looks = []
    look = fetcher.fetch_records
    monkeypatch.setattr(fetcher, "fetch_records", lambda *given, **named: looks.append(1) or look(*given, **named))

    assert not source.poll(100, 0, 1.0).records

    assert len(looks) <= 20


def test_answer_that_comes_while_more_is_asked_for_is_taken_at_once(source):
    """There is nothing left to ask for then, which is no sign that there is nothing to wait for."""
    source.pause()
    alive_until(source.partitions, [source], "partitions")
    alive_until(source._consumer._subscription.has_all_fetch_positions, [source], "positions")
    source.resume()
    fetcher = source._consumer._fetcher
    ask = fetcher.send_fetches

    def ask_late():
        ask()
        wait_until(lambda: fetcher._completed_fetches, "the answer", timeout_s=10, every_s=0.001)
        fetcher._net.run(fetcher._clean_done_fetch_futures)  # as the next request does

    fetcher.send_fetches = ask_late
    records, _ = fetcher.fetch_records(100, timeout_ms=0)

    assert sum(map(len, records.values())) == 20


def test_polls_of_a_paused_source_rest(source):
    """Nothing is on its way then, and nothing could come: they take their time all the same, without a busy core."""
    wait_until(lambda: len(source.poll(100, 0.2, 0.2).records) == 20, "all that there is")
    source.pause()
    source.poll(100, 0, 0.2)  # what was asked for before
    busy, began = time.process_time(), time.monotonic()

    assert not source.poll(100, 0, 1.0).records

    assert time.monotonic() - began > 0.9
    assert time.process_time() - busy < 0.5


def test_lost_connection_to_the_coordinator_is_made_again(source, kafka):
    """By the next heartbeat at the latest; whoever polls and commits notices nothing."""
    wait_until(lambda: len(source.poll(100, 0.2, 0.2).records) == 20, "all that there is")
    client, coordinator = source._consumer._client, source._consumer._coordinator
    partition = next(iter(source.partitions()))

    client.close(coordinator.coordinator_id)
    wait_until(lambda: not client.connected(coordinator.coordinator_id), "the end of the connection", every_s=0)
    alive_until(lambda: client.connected(coordinator.coordinator_id), [source], "the connection")

    source.commit_now({partition: 0}, 10)
    assert len(source.partitions()) == 4
