"""The project's performance targets, compared with the results of a run."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from benchmarks.measure import MAX_WAIT_MS
from benchmarks.results import Section
from benchmarks.startup import IMPORTS
from benchmarks.systems import PEERS

_DAEMON = "detector {} torch at-least-once"
_EXACTLY_ONCE = "detector {} torch exactly-once"
_NUMPY = "kafka-python numpy"
_NUMPY_DAEMON = f"detector {_NUMPY} at-least-once"


class Comparison(NamedTuple):
    """A target and the measured value."""

    name: str
    target: float
    measured: float
    lower_is_better: bool = False

    @property
    def met(self) -> bool:
        """Whether the measured value reaches the target."""
        return self.measured <= self.target if self.lower_is_better else self.measured >= self.target


def compare_with_targets(sections: Sequence[Section]) -> Section:
    """A row for each target whose measurements are in the sections."""
    rows = {section.name: {row["case"]: row for row in section.rows} for section in sections}
    comparisons = [
        *_throughput(rows.get("throughput", {})),
        *_core(rows.get("core", {})),
        *_latency(rows.get("latency", {})),
        *_startup(rows.get("startup", {})),
        *_memory(rows.get("throughput", {}), rows.get("startup", {})),
    ]
    table = [
        {
            "case": comparison.name,
            "target": float(comparison.target),
            "measured": float(comparison.measured),
            "met": "yes" if comparison.met else "no",
        }
        for comparison in comparisons
    ]
    return Section("targets", "Performance targets", table)


Rows = Mapping[str, Mapping[str, Any]]
Rates = Mapping[str, Sequence[float]]
"""Events per second of each round, by system name."""


def _throughput(rows: Rows) -> Iterator[Comparison]:
    rates = {name: row["events/s"]["values"] for name, row in rows.items()}
    yield from _clients(rates)
    yield from _peers(rates)
    if _NUMPY_DAEMON in rows:
        yield Comparison(
            "numpy engine, kafka-python: peak RSS MB",
            160,
            rows[_NUMPY_DAEMON]["peak RSS MB"]["median"],
            lower_is_better=True,
        )


def _clients(rates: Rates) -> Iterator[Comparison]:
    targets = {"kafka-python": [("kafka-python", 0.85)], "librdkafka": [("kafka-python", 2.2), ("librdkafka", 0.6)]}
    for client, loops in targets.items():
        daemon = _DAEMON.format(client)
        for loop, target in loops:
            if daemon in rates and f"bare {loop}" in rates:
                yield Comparison(f"{client} daemon / bare {loop} loop", target, _ratio(rates, daemon, f"bare {loop}"))
        exactly_once = _EXACTLY_ONCE.format(client)
        if daemon in rates and exactly_once in rates:
            yield Comparison(
                f"{client} daemon: exactly-once / at-least-once", 0.65, _ratio(rates, exactly_once, daemon)
            )


def _peers(rates: Rates) -> Iterator[Comparison]:
    peers = [peer.name for peer in PEERS if peer.name in rates]
    for client, target in (("kafka-python", 2), ("librdkafka", 4)):
        daemon = _DAEMON.format(client)
        if daemon in rates and peers:
            ratio, fastest = min((_ratio(rates, daemon, peer), peer) for peer in peers)
            yield Comparison(f"{client} daemon / fastest peer ({fastest})", target, ratio)
    daemon = _DAEMON.format("kafka-python")
    for peer in peers:
        if peer.startswith("Quix") and daemon in rates:
            yield Comparison(f"kafka-python daemon / {peer}", 5, _ratio(rates, daemon, peer))


def _ratio(rates: Rates, system: str, reference: str) -> float:
    """The median of the ratios of each round, so that other load on the machine cancels out."""
    return median(a / b for a, b in zip(rates[system], rates[reference], strict=False))


def _core(rows: Rows) -> Iterator[Comparison]:
    for engine, row in rows.items():
        yield Comparison(f"scoring core, {engine}, events/s per core", 1e6, row["events/s per core"]["median"])


def _latency(rows: Rows) -> Iterator[Comparison]:
    for name, row in rows.items():
        if ", 50% of" in name:
            yield Comparison(f"{name}: p50 ms", MAX_WAIT_MS + 10, row["p50 ms"]["median"], lower_is_better=True)
            yield Comparison(f"{name}: p99 ms", 100, row["p99 ms"]["median"], lower_is_better=True)


def _startup(rows: Rows) -> Iterator[Comparison]:
    if _NUMPY in rows:
        yield Comparison(
            "numpy engine, kafka-python: seconds to ready",
            1.5,
            rows[_NUMPY]["seconds to ready"]["median"],
            lower_is_better=True,
        )


def _memory(throughput: Rows, startup: Rows) -> Iterator[Comparison]:
    name = _DAEMON.format("kafka-python")
    if name not in throughput:
        return
    yield Comparison(
        f"{name}: RSS growth over the second half, %",
        5,
        100 * throughput[name]["RSS growth"]["median"],
        lower_is_better=True,
    )
    if IMPORTS in startup:
        above = throughput[name]["peak RSS MB"]["median"] - startup[IMPORTS]["RSS MB at ready"]["median"]
        yield Comparison(f"{name}: peak RSS above that of its imports, MB", 120, above, lower_is_better=True)
