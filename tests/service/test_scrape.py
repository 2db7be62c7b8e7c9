"""What a scrape costs, and what it brings, while the service works as fast as it can."""

import http.client
import itertools
import socket
import statistics
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from detector.records import OutgoingRecord
from detector.service.daemon import Daemon
from detector.settings import HttpSettings, ModelSettings, Settings
from detector.stream.interfaces import Batch
from detector.stream.memory import MemorySink, MemorySource, MemoryTopics
from tests.helpers import event

HOSTS = 10_000
EVENTS = 1_000_000
BATCH = 2_000
SCRAPE_S = 0.05
"""Wanted of a scrape under full load."""
_SCRAPE_EVERY_S = 0.1


class Replay(MemorySource):
    """One event of each host, again and again, until there were a million; then the stop."""

    def __init__(self, topics, topic, listener, stop):
        super().__init__(topics, topic, listener)
        self._stop = stop
        records = topics.records(topic)
        batches = [records[at : at + BATCH] for at in range(0, len(records), BATCH)]
        self._batches = itertools.islice(itertools.cycle(batches), EVENTS // BATCH)

    def poll(self, *arguments):
        batch = next(self._batches, None)
        if batch is None:
            self._stop()
            return Batch([], {})
        return Batch(batch, {})


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture
def daemon(model, port):
    topics = MemoryTopics()
    chosen = Settings(model=ModelSettings(path=model, engine="numpy"), http=HttpSettings(port=port))
    for number in range(HOSTS):
        user = 1000 if number % 100 == 0 else 0  # an alert in a hundred
        value = event(hostName=f"host-{number}", processName=f"process-{number}", processId=number, userId=user, sus=0)
        topics.append(OutgoingRecord(chosen.kafka.events_topic, None, value, []))
    daemon = Daemon(
        chosen,
        lambda kafka, _guarantee, listener, _wait: (
            Replay(topics, kafka.events_topic, listener, daemon.stop),
            MemorySink(topics),
        ),
    )
    return daemon


def series(text):
    return {
        (sample.name, *sorted(sample.labels.items()))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_million_events_of_ten_thousand_hosts_make_no_new_series_and_no_slow_scrape(daemon, port):
    """A service that shows Prometheus each host, or holds its scrapes up under load, takes monitoring down with it."""
    pages: list[str] = []
    durations_s: list[float] = []
    ended = threading.Event()

    def scrape():
        while not ended.wait(_SCRAPE_EVERY_S):
            started = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/metrics")
            pages.append(connection.getresponse().read().decode())
            connection.close()
            durations_s.append(time.perf_counter() - started)

    scraper = threading.Thread(target=scrape)
    loop_ended = daemon.stop
    daemon.stop = lambda: (ended.set(), scraper.join(), loop_ended())
    scraper.start()
    daemon.run()

    assert daemon.metrics.value("detector_records_scored_total") == EVENTS
    under_load = [page for page in pages if "detector_batches_total 0.0" not in page]
    assert len(under_load) > 5
    assert len({frozenset(series(page)) for page in under_load}) == 1
    # The quickest quarter: client and service share an interpreter here, and the tests beside this one the processors.
    quartile_s = statistics.quantiles(durations_s, n=4)[0]
    assert quartile_s <= SCRAPE_S, durations_s
