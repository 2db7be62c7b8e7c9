"""Every query of dashboards and rules, on a real Prometheus that scrapes the real daemon under replay."""

import json
import shutil
import socket
import subprocess
import threading

import pytest
import yaml
from kafka import KafkaProducer

from deploy.grafana.pictures import Source, draw
from detector.local.demo import SAMPLE
from detector.local.replay import Pace, replay
from detector.local.topics import create_topics
from detector.settings import KafkaSettings
from tests.deploy.queries import DASHBOARDS, DEPLOY, RARE, Prometheus, dashboard_queries, rules, selectors
from tests.helpers import kafka_options, running_detector, wait_until

pytestmark = [
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="prometheus is not installed: `make prometheus` installs it with Debian's package manager",
    ),
    pytest.mark.timeout(300),
]
_DEADLINE_S = 180


@pytest.fixture(scope="module")
def kafka(broker):
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
def daemon(kafka, model, tmp_path_factory):
    options = [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "log.format=json"]
    with running_detector(options, tmp_path_factory.mktemp("deploy") / "detector.log") as running:
        running.wait_for_log("partitions assigned")
        yield running


@pytest.fixture(scope="module")
def prometheus(daemon, tmp_path_factory):
    """The repository's configuration, every second, with the daemon where the compose file's name would be."""
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
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        server = Prometheus(f"http://{address}")
        try:
            wait_until(server.is_up, f"prometheus, log: {folder / 'log'}", 60)
            yield server
        finally:
            process.kill()


@pytest.fixture(scope="module")
def under_replay(prometheus, kafka):
    """Events, and now and then one that is none, until the tests of this file are through."""
    wait_until(lambda: prometheus.values("detector_records_consumed_total"), "the first scrape", 60)
    end = threading.Event()
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)

    def feed():
        while not end.is_set():
            replay(kafka, [SAMPLE], pace=Pace(rate=400), limit=800, stopped=end.is_set)
            producer.send(kafka.events_topic, b"{")
            producer.flush()

    thread = threading.Thread(target=feed)
    thread.start()
    yield prometheus
    end.set()
    thread.join(60)
    producer.close(timeout=5)


def _silent(server, expressions):
    return sorted(place for place, expression in expressions.items() if not server.values(expression))


def _wait_for_data(server, expressions):
    deadline = f"data for {len(expressions)} expressions"
    try:
        wait_until(lambda: not _silent(server, expressions), deadline, _DEADLINE_S)
    except AssertionError:
        assert _silent(server, expressions) == []


def test_every_panel_shows_something(under_replay):
    """A panel that returns nothing is found here, and not in the night in which it is needed."""
    expressions = {
        f"{query.place}: {query.expression}": query.runnable("5s")
        for query in dashboard_queries()
        if query.place not in RARE
    }

    assert len(expressions) > 40
    _wait_for_data(under_replay, expressions)


def test_rare_queries_are_valid(under_replay):
    """What may return nothing is at least understood by Prometheus, and the list has nothing else."""
    rare = [query for query in dashboard_queries() if query.place in RARE]

    assert {query.place for query in rare} == set(RARE)
    for query in rare:
        under_replay.values(query.runnable("5s"))


def test_every_recorded_series_is_there(under_replay):
    """Alerts and panels rest on them."""
    _wait_for_data(under_replay, {rule["record"]: rule["record"] for rule in rules("record")})


def test_every_alert_looks_at_something_that_exists(under_replay):
    """An alert on a name or a label that is spelled wrong is quiet for ever; what counts faults is there at zero."""
    found = {selector for rule in rules("alert") for selector in selectors(rule["expr"])}

    assert len(found) > 10
    assert 'detector_rebalances_total{kind="revoked"}' in found
    _wait_for_data(under_replay, {selector: selector for selector in found})


def test_pictures_of_both_dashboards_can_be_drawn(under_replay):
    """The pictures in the docs can be made again: every panel has its place, its unit and its series."""
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        figure = draw(dashboard, Source(under_replay.url, minutes=1))

        titles = {text.get_text() for axes in figure.axes for text in axes.texts}
        assert titles >= {panel["title"] for panel in dashboard["panels"] if panel["type"] != "row"}
        assert sum(len(axes.lines) > 0 for axes in figure.axes) > 10


def test_no_alert_fires_while_all_is_well(under_replay):
    """Every rule is evaluated without an error, and none finds anything wrong."""

    def evaluated():
        found = [rule for group in under_replay.get("rules")["groups"] for rule in group["rules"]]
        return found if all(rule["health"] != "unknown" for rule in found) else None

    found = wait_until(evaluated, "every rule evaluated", 60)
    assert [(rule["name"], rule.get("lastError")) for rule in found if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in found if rule["type"] == "alerting" and rule["state"] == "firing"] == []
