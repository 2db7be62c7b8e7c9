"""How the patched consumer fetches, with a real broker."""

import gc
import time
import weakref

import pytest
from kafka import errors as kafka_errors

from detector.records import OutgoingRecord
from detector.stream.interfaces import StreamError
from detector.stream.kafka_python.sink import KafkaPythonSink
from detector.stream.kafka_python.source import KafkaPythonSource
from tests.helpers import alive_until, wait_until, write_all
from tests.stream.listeners import RecordingListener
from tests.stream.reading import closing, next_batch, next_record


@pytest.fixture
def source(kafka):
    """A source of twenty records in one partition."""
    with closing(KafkaPythonSink(kafka)) as sink:
        write_all(sink, [OutgoingRecord(kafka.events_topic, b"same", b"x", [])] * 20)
    with closing(KafkaPythonSource(kafka, RecordingListener())) as opened:
        yield opened


def read_everything(source):
    """Read all twenty records."""
    assert len(next_batch(source).records) == 20


def test_batch_is_freed_without_a_garbage_collection(source):
    """Otherwise half of all records would stay in memory until a collection, which stops the service up to 160 ms."""
    gc.disable()
    try:
        batch = next_batch(source)  # its wait for more records times out
        assert len(batch.records) == 20
        records = weakref.ref(batch.records)
        del batch

        assert records() is None
    finally:
        gc.enable()


def test_request_is_sent_before_more_records_are_taken(source):
    """Otherwise the same records would be fetched twice, because a request starts at the offsets taken so far."""
    next_record(source)
    fetcher = source._consumer._fetcher
    order = []

    async def send_slowly():
        await fetcher._net.sleep(0.2)
        order.append("requested")

    fetched_records = fetcher.fetched_records

    def recorded_fetched_records(*args, **options):
        order.append("taken")
        return fetched_records(*args, **options)

    fetcher.fetched_records = recorded_fetched_records
    fetcher._requesting = fetcher._manager.call_soon(send_slowly)

    def has_taken_after_the_request() -> bool:
        assert len(source.poll(1, 0, 0.2).records) <= 1
        return "requested" in order and order[-1] == "taken"

    wait_until(has_taken_after_the_request, "records after the request", every_s=0)
    assert order[0] == "requested"


@pytest.mark.parametrize("wait_s", [0, 0.2])
def test_error_of_an_early_request_is_raised_by_the_next_poll(source, wait_s):
    """Otherwise the service would read nothing, for example because of a missing ACL, and not say so."""
    next_record(source)
    fetcher = source._consumer._fetcher

    async def fail():
        await fetcher._net.sleep(wait_s)
        raise kafka_errors.TopicAuthorizationFailedError("topic")

    request = fetcher._requesting = fetcher._manager.call_soon(fail)
    wait_until(lambda: wait_s or request.is_done, "the error")

    with pytest.raises(StreamError, match="TopicAuthorizationFailedError"):
        source.poll(1, 0, 0.2)


def test_unanswered_heartbeat_does_not_make_polls_spin(source, monkeypatch):
    """Otherwise a frozen broker would keep a core busy, because kafka-python would poll without a pause."""
    read_everything(source)
    coordinator, fetcher = source._consumer._coordinator, source._consumer._fetcher
    monkeypatch.setattr(coordinator, "time_to_next_heartbeat", lambda: 0)
    calls = []
    fetch_records = fetcher.fetch_records

    def recorded_fetch_records(*args, **options):
        calls.append(options)
        return fetch_records(*args, **options)

    monkeypatch.setattr(fetcher, "fetch_records", recorded_fetch_records)

    assert not source.poll(100, 0, 1.0).records

    assert len(calls) <= 20


def test_response_that_arrives_during_a_request_is_taken_at_once(source):
    """Otherwise alerts would be 100 ms later, because kafka-python would sleep although records are available."""
    source.pause()
    alive_until(source.partitions, [source], "partitions")
    alive_until(source._consumer._subscription.has_all_fetch_positions, [source], "offsets to read from")
    source.resume()
    fetcher = source._consumer._fetcher
    send_fetches = fetcher.send_fetches

    def send_and_wait_for_the_response():
        send_fetches()
        wait_until(lambda: fetcher._completed_fetches, "the response", timeout_s=10, every_s=0.001)
        fetcher._net.run(fetcher._clean_done_fetch_futures)  # as the next request does

    fetcher.send_fetches = send_and_wait_for_the_response
    records, _ = fetcher.fetch_records(100, timeout_ms=0)

    assert sum(map(len, records.values())) == 20


def test_poll_of_a_paused_source_waits(source):
    """Otherwise the service would keep a core busy while it waits for acknowledgements."""
    read_everything(source)
    source.pause()
    source.poll(100, 0, 0.2)  # ends the request that is in flight
    cpu_before, started = time.process_time(), time.monotonic()

    assert not source.poll(100, 0, 1.0).records

    assert time.monotonic() - started > 0.9
    assert time.process_time() - cpu_before < 0.5


def test_lost_connection_to_the_coordinator_is_restored(source):
    """Otherwise the member would be evicted, or could not commit, after it lost one connection."""
    read_everything(source)
    client, coordinator = source._consumer._client, source._consumer._coordinator
    partition = next(iter(source.partitions()))

    client.close(coordinator.coordinator_id)
    wait_until(lambda: not client.connected(coordinator.coordinator_id), "the end of the connection", every_s=0)
    alive_until(lambda: client.connected(coordinator.coordinator_id), [source], "the connection")

    source.commit_now({partition: 0}, 10)
    assert len(source.partitions()) == 4
