"""What the project promises of itself, held against the rounds of a run."""

import pytest

from benchmarks.bars import bars
from benchmarks.results import Section, spread


def test_rates_are_compared_round_by_round():
    """A machine that was twice as slow in one round was that to all of them; a median of each alone mixes rounds."""
    section = Section(
        "throughput",
        "Throughput",
        [
            {"what": "bare kafka-python", "events/s": spread([100, 50, 120])},
            {"what": "bare librdkafka", "events/s": spread([300, 150, 360])},
            {"what": "detector librdkafka torch at-least-once", "events/s": spread([600, 250, 480])},
            {"what": "Bytewax", "events/s": spread([150, 100, 110])},
            {"what": "Quix Streams", "events/s": spread([40, 10, 40])},
        ],
    )

    table = {row["what"]: row for row in bars([section]).rows}

    assert table["librdkafka daemon / bare kafka-python loop"]["measured"] == pytest.approx(5)
    assert table["librdkafka daemon / bare librdkafka loop"]["measured"] == pytest.approx(250 / 150)
    assert table["librdkafka daemon / fastest peer (Bytewax)"]["measured"] == pytest.approx(4)
    assert table["librdkafka daemon / fastest peer (Bytewax)"]["met"] == "yes"
    assert not any("kafka-python daemon" in name for name in table)


def test_less_is_better_where_it_is():
    """A latency beyond the bar is not met."""
    rows = [{"what": "kafka-python, 50% of 100/s", "p50 ms": spread([29, 31, 32]), "p99 ms": spread([99, 20, 150])}]

    p50, p99 = bars([Section("latency", "Latency", rows)]).rows

    assert (p50["wanted"], p50["met"]) == (30, "no")
    assert (p99["wanted"], p99["met"]) == (100, "yes")
