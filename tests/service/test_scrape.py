"""What a scrape costs, and what it brings, while the service works as fast as it can."""

import itertools
import json
import socket
import statistics
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from detector.records import OutgoingRecord
from detector.service.daemon import Daemon
from detector.settings import HttpSettings, KafkaSettings, ModelSettings, Settings
from detector.stream.interfaces import Batch
from detector.stream.memory import MemorySink, MemorySource, MemoryTopics
from tests.helpers import event
from tests.service import scraper

KAFKA = KafkaSettings()
HOSTS = 10_000
EVENTS = 1_000_000
BATCH = 2_000
SCRAPE_S = 0.05
"""Wanted of a scrape under full load."""


class Replay(MemorySource):
    """One event of each host, again and again, until there were a million."""

    def __init__(self, topics, topic, listener, at_the_end):
        super().__init__(topics, topic, listener)
        self._at_the_end = at_the_end
        records = topics.records(topic)
        batches = [records[at : at + BATCH] for at in range(0, len(records), BATCH)]
        self._batches = itertools.islice(itertools.cycle(batches), EVENTS // BATCH)

    def poll(self, *arguments):
        batch = next(self._batches, None)
        if batch is None:
            self._at_the_end()
        return Batch(batch or [], {})


class Scraper:
    """A process that asks for the metrics again and again; behind `stop`, what it saw."""

    def __init__(self, port):
        self._command = [sys.executable, scraper.__file__, str(port)]

    def start(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def stop(self):
        said, _ = self._process.communicate(timeout=60)
        seen = json.loads(said)
        self.pages, self.durations_s = seen["pages"], seen["durations_s"]


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture
def topics():
    topics = MemoryTopics()
    for number in range(HOSTS):
        user = 1000 if number % 100 == 0 else 0  # an alert in a hundred
        value = event(hostName=f"host-{number}", processName=f"process-{number}", processId=number, userId=user, sus=0)
        topics.append(OutgoingRecord(KAFKA.events_topic, None, value, []))
    return topics


def series(text):
    return {
        (sample.name, *sorted(sample.labels.items()))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.usefixtures("quiet")
def test_a_million_events_of_ten_thousand_hosts_make_no_new_series_and_no_slow_scrape(model, topics, port):
    """A service that shows Prometheus each host, or holds its scrapes up under load, takes monitoring down with it."""
    scrapes = Scraper(port)

    def at_the_end():
        scrapes.stop()
        daemon.stop()

    def open_stream(_kafka, _guarantee, listener, _wait):
        scrapes.start()  # the server is up by now
        return Replay(topics, KAFKA.events_topic, listener, at_the_end), MemorySink(topics)

    daemon = Daemon(
        Settings(model=ModelSettings(path=model, engine="numpy"), http=HttpSettings(port=port)), open_stream
    )
    daemon.run()

    assert daemon.metrics.value("detector_records_scored_total") == EVENTS
    # From the first look at the lag on: it comes with the first batch, and brings the series of the partition.
    under_load = [page for page in scrapes.pages if "detector_lag_records{" in page]
    assert len(under_load) > 5
    assert len({frozenset(series(page)) for page in under_load}) == 1
    # The median: the tests beside this one take the processors away now and then, for as long as they like.
    assert statistics.median(scrapes.durations_s) <= SCRAPE_S, sorted(scrapes.durations_s)
