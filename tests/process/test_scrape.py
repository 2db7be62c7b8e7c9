"""How long a scrape takes and what it contains, while the service is under full load."""

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
from tests.helpers import event
from tests.process import scraper
from tests.stream.memory import MemorySink, MemorySource, MemoryTopics

KAFKA = KafkaSettings()
HOSTS = 10_000
EVENTS = 1_000_000
BATCH = 2_000
SCRAPE_S = 0.05
"""The target for a scrape under full load."""


class RepeatingSource(MemorySource):
    """Repeats the records of the topic until there were a million, then calls `on_end`."""

    def __init__(self, topics, topic, listener, on_end):
        super().__init__(topics, topic, listener)
        self._on_end = on_end
        records = topics.records(topic)
        batches = [records[at : at + BATCH] for at in range(0, len(records), BATCH)]
        self._batches = itertools.islice(itertools.cycle(batches), EVENTS // BATCH)

    def poll(self, *arguments):
        batch = next(self._batches, None)
        if batch is None:
            self._on_end()
        return Batch(batch or [], {})


class Scraper:
    """A process that scrapes the metrics; it has its results after `stop`."""

    def __init__(self, port):
        self._command = [sys.executable, scraper.__file__, str(port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def stop(self):
        assert self._process is not None
        printed, _ = self._process.communicate(timeout=60)
        result = json.loads(printed)
        self.pages, self.durations_s = result["pages"], result["durations_s"]

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture
def scrapes(port):
    scraper_process = Scraper(port)
    yield scraper_process
    scraper_process.kill()


@pytest.fixture
def topics():
    topics = MemoryTopics()
    for number in range(HOSTS):
        user = 1000 if number % 100 == 0 else 0  # one event in a hundred has an alert
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
def test_a_million_events_of_ten_thousand_hosts_make_no_new_series_and_no_slow_scrape(model, topics, port, scrapes):
    """Otherwise a busy service would overload the monitoring with series, or its scrapes would time out."""

    def on_end():
        scrapes.stop()
        daemon.stop()

    def open_stream(_kafka, _guarantee, listener, _wait):
        scrapes.start()  # the HTTP server is ready by now
        return RepeatingSource(topics, KAFKA.events_topic, listener, on_end), MemorySink(topics)

    daemon = Daemon(
        Settings(model=ModelSettings(path=model, engine="numpy"), http=HttpSettings(port=port)), open_stream
    )
    daemon.run()

    assert daemon.metrics.value("detector_records_scored_total") == EVENTS
    # The pages before the first batch have no series of the partition yet.
    under_load = [page for page in scrapes.pages if "detector_lag_records{" in page]
    assert len(under_load) > 5
    assert len({frozenset(series(page)) for page in under_load}) == 1
    # The median, because the tests beside this one use the processors too.
    assert statistics.median(scrapes.durations_s) <= SCRAPE_S, sorted(scrapes.durations_s)
