"""Every query of dashboards and rules on a real Prometheus, which scrapes the real detector under replay."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka import KafkaProducer

from deploy.grafana.pictures import History, draw
from detector.local.broker import EmbeddedBroker
from detector.local.demo import SAMPLE
from detector.local.replay import Pace, replay
from detector.settings import KafkaSettings
from detector.stream.admin.topics import create_topics
from tests.deploy.queries import DASHBOARDS, DEPLOY, OFTEN_EMPTY, Prometheus, dashboard_queries, rules, selectors
from tests.deploy.servers import free_address, running
from tests.helpers import RunningDetector, kafka_options, running_detector, wait_until

pytestmark = [
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="prometheus is not installed: `make prometheus` installs it with Debian's package manager",
    ),
    pytest.mark.timeout(300),
]
_DEADLINE_S = 180


@pytest.fixture(scope="module")
def kafka(broker: EmbeddedBroker) -> KafkaSettings:
    settings = KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers,
        events_topic="deploy-events",
        alerts_topic="deploy-alerts",
        dead_letter_topic="deploy-dead-letters",
        group_id="deploy",
    )
    create_topics(settings, 4)
    return settings


@pytest.fixture(scope="module")
def daemon(kafka: KafkaSettings, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDetector]:
    options = [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "log.format=json"]
    with running_detector(options, tmp_path_factory.mktemp("deploy") / "detector.log") as started:
        started.wait_for_log("partitions_assigned")
        yield started


@pytest.fixture(scope="module")
def prometheus(daemon: RunningDetector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The repository's configuration, but with an interval of 1 s and the detector of this test as the target."""
    folder = tmp_path_factory.mktemp("prometheus")
    configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(DEPLOY / "prometheus" / "rules" / "*.yml")]
    del configuration["alerting"]
    (detector,) = (job for job in configuration["scrape_configs"] if job["job_name"] == "detector")
    del detector["dns_sd_configs"]
    detector["static_configs"] = [{"targets": [daemon.url("").removeprefix("http://")]}]
    configuration["scrape_configs"] = [detector]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    address = free_address()
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with running(command, folder / "log"):
        server = Prometheus(f"http://{address}")
        wait_until(server.is_up, f"prometheus, log: {folder / 'log'}", 60)
        yield server


@pytest.fixture(scope="module")
def under_replay(prometheus: Prometheus, kafka: KafkaSettings) -> Iterator[Prometheus]:
    """Prometheus, while valid events and a few invalid records arrive until this module's tests are done."""
    wait_until(lambda: prometheus.values("detector_records_consumed_total"), "the first scrape", 60)
    stop = threading.Event()
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)

    def feed() -> None:
        while not stop.is_set():
            replay(kafka, [SAMPLE], pace=Pace(rate=400), limit=800, stopped=stop.is_set)
            producer.send(kafka.events_topic, b"{")
            producer.flush()

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield prometheus
    finally:
        stop.set()
        thread.join(60)
        producer.close(timeout=5)


def _empty(server: Prometheus, expressions: dict[str, str]) -> list[str]:
    return sorted(name for name, expression in expressions.items() if not server.values(expression))


def _wait_for_data(server: Prometheus, expressions: dict[str, str]) -> None:
    try:
        wait_until(lambda: not _empty(server, expressions), f"data for {len(expressions)} expressions", _DEADLINE_S)
    except AssertionError:
        assert _empty(server, expressions) == []


def test_every_panel_shows_data(under_replay: Prometheus) -> None:
    """Otherwise an operator would find an empty panel during an incident."""
    expressions = {
        f"{query.name}: {query.expression}": query.runnable("5s")
        for query in dashboard_queries()
        if query.name not in OFTEN_EMPTY
    }

    assert len(expressions) > 40
    _wait_for_data(under_replay, expressions)


def test_often_empty_queries_are_valid(under_replay: Prometheus) -> None:
    """Otherwise a broken query would look like one that has no data yet."""
    often_empty = [query for query in dashboard_queries() if query.name in OFTEN_EMPTY]

    assert {query.name for query in often_empty} == set(OFTEN_EMPTY)
    for query in often_empty:
        under_replay.values(query.runnable("5s"))


def test_every_recorded_series_has_data(under_replay: Prometheus) -> None:
    """Otherwise alerts that use an empty recorded series would never fire, and panels would show nothing."""
    _wait_for_data(under_replay, {rule["record"]: rule["record"] for rule in rules("record")})


def test_every_series_in_an_alert_exists(under_replay: Prometheus) -> None:
    """Otherwise an alert with a misspelled metric or label would never fire."""
    found = {selector for rule in rules("alert") for selector in selectors(rule["expr"])}

    assert len(found) > 10
    assert 'detector_rebalances_total{kind="revoked"}' in found
    _wait_for_data(under_replay, {selector: selector for selector in found})


def test_pictures_of_both_dashboards_can_be_drawn(under_replay: Prometheus) -> None:
    """Otherwise the pictures in the docs would stay as they were when the dashboards change."""
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        figure = draw(dashboard, History(under_replay.url, minutes=1))

        titles = {text.get_text() for axes in figure.axes for text in axes.texts}
        assert titles >= {panel["title"] for panel in dashboard["panels"] if panel["type"] != "row"}
        assert sum(len(axes.lines) > 0 for axes in figure.axes) > 10


def test_no_alert_fires_while_everything_works(under_replay: Prometheus) -> None:
    """Otherwise a healthy detector would page somebody, or a rule that fails to evaluate would go unnoticed."""

    def evaluated() -> list[dict[str, Any]] | None:
        found = [rule for group in under_replay.get("rules")["groups"] for rule in group["rules"]]
        return found if all(rule["health"] != "unknown" for rule in found) else None

    found = wait_until(evaluated, "every rule evaluated", 60)
    assert [(rule["name"], rule.get("lastError")) for rule in found if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in found if rule["type"] == "alerting" and rule["state"] == "firing"] == []
