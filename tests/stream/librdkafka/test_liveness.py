"""Whether brokers respond, according to librdkafka's statistics."""

import json

import pytest

from detector.stream.librdkafka.liveness import Liveness


def statistics(**responses):
    """The statistics of a client that received this many responses from each broker."""
    brokers = {name: {"nodeid": 1, "rx": count} for name, count in responses.items()}
    return json.dumps({"name": "detector", "brokers": brokers})


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("later", "since_response_s"),
    [
        pytest.param({"one": 6, "two": 2}, 0.0, id="one broker responded"),
        pytest.param({"one": 5, "two": 2}, 30.0, id="no broker responded"),
        pytest.param({"one": 5, "two": 1}, 0.0, id="a broker came back, and responded: its count starts at 0"),
        pytest.param({"one": 5, "two": 0}, 30.0, id="a broker came back, and has not responded yet"),
        pytest.param({"one": 5}, 30.0, id="a broker is unavailable"),
        pytest.param({"one": 5, "two": 2, "three": 0}, 30.0, id="a new broker has not responded yet"),
        pytest.param({"one": 5, "two": 2, "three": 1}, 0.0, id="a new broker responded"),
    ],
)
def test_each_response_counts(clock, later, since_response_s):
    """Otherwise the service would miss an outage, or report one that is over."""
    liveness = Liveness()
    liveness(statistics(one=5, two=2))
    clock[0] += 30

    liveness(statistics(**later))

    assert liveness.since_response_s() == since_response_s
