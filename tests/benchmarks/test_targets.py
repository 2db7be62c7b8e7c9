"""The comparison of a run with the performance targets."""

import pytest

from benchmarks.results import Section, summarize
from benchmarks.targets import compare_with_targets


def test_rates_are_compared_round_by_round():
    """Otherwise other load on the machine, which slows all systems of a round alike, could decide about a target."""
    section = Section(
        "throughput",
        "Throughput",
        [
            {"case": "bare kafka-python", "events/s": summarize([100, 50, 120])},
            {"case": "bare librdkafka", "events/s": summarize([300, 150, 360])},
            {"case": "detector librdkafka torch at-least-once", "events/s": summarize([600, 250, 480])},
            {"case": "Bytewax", "events/s": summarize([150, 100, 110])},
            {"case": "Quix Streams", "events/s": summarize([40, 10, 40])},
        ],
    )

    table = {row["case"]: row for row in compare_with_targets([section]).rows}

    assert table["librdkafka daemon / bare kafka-python loop"]["measured"] == pytest.approx(5)
    assert table["librdkafka daemon / bare librdkafka loop"]["measured"] == pytest.approx(250 / 150)
    assert table["librdkafka daemon / fastest peer (Bytewax)"]["measured"] == pytest.approx(4)
    assert table["librdkafka daemon / fastest peer (Bytewax)"]["met"] == "yes"
    assert not any("kafka-python daemon" in name for name in table)


def test_lower_latency_is_better():
    """Otherwise a latency above its target would count as met."""
    rows = [
        {"case": "kafka-python, 50% of 100/s", "p50 ms": summarize([29, 31, 32]), "p99 ms": summarize([99, 20, 150])}
    ]

    p50, p99 = compare_with_targets([Section("latency", "Latency", rows)]).rows

    assert (p50["target"], p50["met"]) == (30, "no")
    assert (p99["target"], p99["met"]) == (100, "yes")
