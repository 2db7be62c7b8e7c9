"""Metrics and health."""

import contextlib
import http.client
import socket
import threading

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from detector.alerts.severity import SEVERITIES
from detector.errors import DetectorError
from detector.events.second_opinion import REASONS
from detector.metrics import Metrics
from detector.service import health as health_module
from detector.service.health import Health
from detector.service.http import _MAX_CONNECTIONS, HttpServer
from tests.helpers import wait_until

CONTRACT = {
    "detector_records_consumed_total": ("counter", []),
    "detector_records_scored_total": ("counter", []),
    "detector_records_dead_lettered_total": ("counter", ["reason"]),
    "detector_alerts_total": ("counter", ["severity"]),
    "detector_labelled_records_total": ("counter", ["label", "verdict"]),
    "detector_batches_total": ("counter", []),
    "detector_batch_records": ("histogram", []),
    "detector_stage_duration_seconds": ("histogram", ["stage"]),
    "detector_event_to_alert_seconds": ("histogram", []),
    "detector_score": ("histogram", []),
    "detector_lag_records": ("gauge", ["partition"]),
    "detector_assigned_partitions": ("gauge", []),
    "detector_paused": ("gauge", []),
    "detector_rebalances_total": ("counter", ["kind"]),
    "detector_commits_total": ("counter", []),
    "detector_commit_failures_total": ("counter", []),
    "detector_delivery_failures_total": ("counter", ["topic"]),
    "detector_offset_resets_total": ("counter", []),
    "detector_model_info": ("gauge", ["name", "version", "sha256", "engine"]),
    "detector_model_reloads_total": ("counter", ["result"]),
    "detector_model_loaded_timestamp_seconds": ("gauge", []),
    "detector_last_progress_timestamp_seconds": ("gauge", []),
    "detector_build_info": ("gauge", ["version", "python", "client"]),
}
ENUMERATED = {
    "detector_records_dead_lettered_total": {(reason,) for reason in REASONS},
    "detector_alerts_total": {("low",), ("medium",), ("high",), ("critical",)},
    "detector_labelled_records_total": {(a, b) for a in ("suspicious", "benign") for b in ("suspicious", "benign")},
    "detector_rebalances_total": {("assigned",), ("revoked",), ("lost",)},
    "detector_delivery_failures_total": {("alerts",), ("dead_letter",)},
    "detector_model_reloads_total": {("loaded",), ("refused",)},
    "detector_stage_duration_seconds": {("decode",), ("score",), ("deliver",), ("commit",)},
}


@pytest.fixture
def metrics():
    return Metrics(client="kafka-python", severities=SEVERITIES, reject_reasons=REASONS)


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def server(metrics, health):
    with HttpServer("127.0.0.1", 0, metrics.registry, health) as running:
        yield running


@pytest.fixture
def get(server):
    def get(path, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response.status, body

    return get


def test_metrics_have_the_names_types_and_labels_of_the_contract(get):
    """Dashboards and rules rest on exactly these, from the first scrape on."""
    families = {family.name: family for family in text_string_to_metric_families(get("/metrics")[1])}

    for name, (kind, labels) in CONTRACT.items():
        family = families[name.removesuffix("_total")]
        assert family.type == kind, name
        if name in ENUMERATED:
            seen = {tuple(sample.labels[label] for label in labels) for sample in family.samples}
            assert seen == ENUMERATED[name]
    ours = {name for name in families if name.startswith("detector_")}
    assert ours == {name.removesuffix("_total") for name in CONTRACT}


def test_histogram_counts_like_prometheus_own(metrics):
    """The batch histogram and prometheus_client's agree on every bucket."""
    import numpy as np
    from prometheus_client import Histogram

    from detector.metrics import BatchHistogram

    values = np.array([0.0, 0.1, 0.1000001, 0.5, 1.0, 7.0])
    registries = CollectorRegistry(), CollectorRegistry()
    BatchHistogram("h", "help", (0.1, 0.5, 1), registries[0]).observe_all(values)
    reference = Histogram("h", "help", buckets=(0.1, 0.5, 1), registry=registries[1])
    for value in values:
        reference.observe(value)

    for name, labels in (
        ("h_count", {}),
        ("h_sum", {}),
        *(("h_bucket", {"le": le}) for le in ("0.1", "0.5", "1.0", "+Inf")),
    ):
        ours, theirs = (registry.get_sample_value(name, labels) for registry in registries)
        assert ours == pytest.approx(theirs), name


def test_liveness_tells_a_stuck_loop(get, health, monkeypatch):
    """An orchestrator restarts what shows no sign of life, and only that."""
    assert get("/healthz") == (200, "ok\n")
    monkeypatch.setattr(health_module, "STUCK_AFTER_S", -1)

    status, body = get("/healthz")
    assert status == 503
    assert "no sign of life from the loop" in body


def test_readiness_gives_its_reason(get, health):
    """Whoever looks at 3 a.m. reads what is missing."""
    health.not_ready_because = "no broker can be reached"
    assert get("/readyz") == (503, "no broker can be reached\n")
    health.not_ready_because = None
    assert get("/readyz") == (200, "ok\n")


def test_nothing_changes_state(get):
    """Only reading is possible, and only the three pages exist."""
    assert get("/metrics", method="POST")[0] == 405
    assert get("/")[0] == 404


def test_taken_port_is_one_line(metrics, health):
    """Two daemons on one host: the second says what to set."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            DetectorError, match=rf"cannot listen on 127.0.0.1:{port}: .* set DETECTOR_HTTP__PORT"
        ) as caught:
            HttpServer("127.0.0.1", port, metrics.registry, health)
    assert caught.value.exit_code == 1


HALF_A_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: "


def http_threads():
    return sum(thread.name.startswith("http_") for thread in threading.enumerate())


@pytest.mark.parametrize("sent", [b"", HALF_A_REQUEST], ids=["idle", "slow"])
def test_many_connections_leave_room_for_a_scrape(server, get, sent):
    """Whoever holds connections open keeps neither Prometheus out nor the process busy: threads are bounded."""
    with contextlib.ExitStack() as held:
        for _ in range(200):
            held.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", server.port)))).sendall(sent)
        assert get("/metrics")[0] == 200
        assert get("/healthz") == (200, "ok\n")
        wait_until(lambda: http_threads() <= _MAX_CONNECTIONS, "the end of the threads of the others", 20)


def test_clients_that_do_not_read_leave_room_for_a_scrape(server, get):
    """A complete request whose answer is never fetched is no reason to keep others waiting."""
    with contextlib.ExitStack() as held:
        for _ in range(100):
            client = held.enter_context(contextlib.closing(socket.socket()))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")

        assert get("/metrics")[0] == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /" + b"a" * 10_000_000,
        b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"a" * 10_000_000,
        b"GET /metrics HTTP/1.1\r\n" + b"X-Many: 1\r\n" * 1_000_000,
        b"\x16\x03\x01\x02\x00" + bytes(range(256)) * 4 + b"\r\n\r\n",
    ],
    ids=["path", "header", "headers", "TLS"],
)
def test_oversized_or_foreign_request_is_refused(server, get, request_bytes):
    """It is not read to its end, and gets no page; the next client does."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as client:
        answer = b""
        with contextlib.suppress(ConnectionError):  # closed before all of it was sent
            client.sendall(request_bytes)
            answer = client.recv(100)
    assert b" 200 " not in answer

    assert get("/readyz")[0] == 503
