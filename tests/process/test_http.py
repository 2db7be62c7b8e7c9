"""The endpoints for metrics and health, and their protection against slow or hostile clients."""

import contextlib
import http.client
import socket
import threading

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from detector.alerts.severity import SEVERITIES
from detector.errors import DetectorError
from detector.events.strict_decode import REASONS
from detector.metrics import Metrics
from detector.process import health as health_module
from detector.process.health import Health
from detector.process.http import _MAX_CONNECTIONS, HttpServer
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
    return Metrics(client="kafka-python", severities=SEVERITIES, dead_letter_reasons=REASONS)


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
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    return get


def test_metrics_have_the_names_types_and_labels_of_the_contract(get):
    """Otherwise dashboards and alert rules, which use exactly these names, would show nothing or never fire."""
    families = {family.name: family for family in text_string_to_metric_families(get("/metrics")[1])}

    for name, (kind, labels) in CONTRACT.items():
        family = families[name.removesuffix("_total")]
        assert family.type == kind, name
        if name in ENUMERATED:
            seen = {tuple(sample.labels[label] for label in labels) for sample in family.samples}
            assert seen == ENUMERATED[name]
    ours = {name for name in families if name.startswith("detector_")}
    assert ours == {name.removesuffix("_total") for name in CONTRACT}


def test_histogram_agrees_with_the_client_library(metrics):
    """Otherwise the quantiles on dashboards would be wrong."""
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


def test_liveness_fails_when_the_main_loop_stalls(get, health, monkeypatch):
    """Otherwise an orchestrator would not restart a service whose main loop stalls."""
    assert get("/healthz") == (200, "ok\n")
    monkeypatch.setattr(health_module, "STALLED_AFTER_S", -1)

    status, body = get("/healthz")
    assert status == 503
    assert "main loop has made no progress for" in body


def test_readiness_gives_its_reason(get, health):
    """Otherwise an operator could not see what the service is waiting for."""
    health.not_ready_reason = "Kafka brokers unreachable"
    assert get("/readyz") == (503, "Kafka brokers unreachable\n")
    health.not_ready_reason = None
    assert get("/readyz") == (200, "ok\n")


def test_only_the_three_endpoints_can_be_read(get):
    """Otherwise an HTTP request could change the state of the service."""
    assert get("/metrics", method="POST")[0] == 405
    assert get("/")[0] == 404


def test_port_in_use_is_one_line_with_the_setting(metrics, health):
    """Otherwise a user who starts a second daemon on one host would not learn which setting to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            DetectorError, match=rf"cannot listen on 127.0.0.1:{port}: .* set DETECTOR_HTTP__PORT"
        ) as caught:
            HttpServer("127.0.0.1", port, metrics.registry, health)
    assert caught.value.exit_code == 1


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("host", "clients"), [("::1", ["::1"]), ("::", ["::1", "127.0.0.1"]), ("localhost", ["127.0.0.1"])]
)
def test_server_listens_on_ipv6_addresses_too(metrics, health, host, clients):
    """Otherwise Prometheus could not scrape the service in a cluster that has only IPv6."""
    with HttpServer(host, 0, metrics.registry, health) as server:
        shown = f"[{host}]" if ":" in host else host
        assert server.url == f"http://{shown}:{server.port}"
        for client in clients:
            with contextlib.closing(http.client.HTTPConnection(client, server.port, timeout=10)) as connection:
                connection.request("GET", "/healthz")
                assert connection.getresponse().read() == b"ok\n"


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::5", "host.invalid"])
def test_address_of_another_host_is_one_line_with_the_setting(metrics, health, host):
    """Otherwise a user would look for a free port although the address is wrong."""
    with pytest.raises(DetectorError, match=r"^cannot listen on .*:0: .*; set DETECTOR_HTTP__HOST to an address"):
        HttpServer(host, 0, metrics.registry, health)


INCOMPLETE_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: "


def http_threads():
    return sum(thread.name.startswith("http_") for thread in threading.enumerate())


@pytest.mark.parametrize("sent", [b"", INCOMPLETE_REQUEST], ids=["idle", "slow"])
def test_many_open_connections_leave_room_for_a_scrape(server, get, sent):
    """Otherwise clients that hold connections open could keep Prometheus out, or start a thread each."""
    with contextlib.ExitStack() as connections:
        for _ in range(200):
            connections.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", server.port)))).sendall(
                sent
            )
        assert get("/metrics")[0] == 200
        assert get("/healthz") == (200, "ok\n")
        wait_until(lambda: http_threads() <= _MAX_CONNECTIONS, "the end of the other threads", 20)


def test_clients_that_do_not_read_leave_room_for_a_scrape(server, get):
    """Otherwise clients that never read their response could keep Prometheus out."""
    with contextlib.ExitStack() as connections:
        for _ in range(100):
            client = connections.enter_context(contextlib.closing(socket.socket()))
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
def test_oversized_or_foreign_request_is_rejected(server, get, request_bytes):
    """Otherwise a hostile request could use up memory, or keep the next client from getting its page."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as client:
        response = b""
        with contextlib.suppress(ConnectionError):  # the server closed it before all was sent
            client.sendall(request_bytes)
            response = client.recv(100)
    assert b" 200 " not in response

    assert get("/readyz")[0] == 503
