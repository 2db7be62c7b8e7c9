"""What the project promises of itself, held against a run."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.contestants import PEERS
from benchmarks.measure import MAX_WAIT_MS
from benchmarks.results import Section
from benchmarks.startup import IMPORTS

_DAEMON = "detector {} torch at-least-once"
_EXACTLY_ONCE = "detector {} torch exactly-once"
_NUMPY = "kafka-python numpy"
_NUMPY_DAEMON = f"detector {_NUMPY} at-least-once"

Bar = tuple[str, float, float, bool]
"""What, how much is wanted, how much there is, and whether less is better."""


def bars(sections: Sequence[Section]) -> Section:
    """Every bar that the sections have the figures for."""
    rows = {section.name: {row["what"]: row for row in section.rows} for section in sections}
    found = [
        *_throughput(rows.get("throughput", {})),
        *_core(rows.get("core", {})),
        *_latency(rows.get("latency", {})),
        *_startup(rows.get("startup", {})),
        *_memory(rows.get("throughput", {}), rows.get("startup", {})),
    ]
    table = [
        {
            "what": what,
            "wanted": float(wanted),
            "measured": float(there),
            "met": "yes" if (there <= wanted if less else there >= wanted) else "no",
        }
        for what, wanted, there, less in found
    ]
    return Section("bars", "The bars", table)


Rows = Mapping[str, Mapping[str, Any]]
Rates = Mapping[str, Sequence[float]]
"""Of each round."""


def _throughput(rows: Rows) -> Iterator[Bar]:
    rates = {name: row["events/s"]["values"] for name, row in rows.items()}
    yield from _clients(rates)
    yield from _peers(rates)
    if _NUMPY_DAEMON in rows:
        yield "numpy engine, kafka-python: peak RSS MB", 160, rows[_NUMPY_DAEMON]["peak RSS MB"]["median"], True


def _clients(rates: Rates) -> Iterator[Bar]:
    wanted = {"kafka-python": [("kafka-python", 0.85)], "librdkafka": [("kafka-python", 2.2), ("librdkafka", 0.6)]}
    for client, loops in wanted.items():
        daemon = _DAEMON.format(client)
        for loop, times in loops:
            if daemon in rates and f"bare {loop}" in rates:
                yield f"{client} daemon / bare {loop} loop", times, _ratio(rates, daemon, f"bare {loop}"), False
        exactly_once = _EXACTLY_ONCE.format(client)
        if daemon in rates and exactly_once in rates:
            yield f"{client} daemon: exactly-once / at-least-once", 0.65, _ratio(rates, exactly_once, daemon), False


def _peers(rates: Rates) -> Iterator[Bar]:
    peers = [peer.name for peer in PEERS if peer.name in rates]
    for client, times in (("kafka-python", 2), ("librdkafka", 4)):
        daemon = _DAEMON.format(client)
        if daemon in rates and peers:
            least, fastest = min((_ratio(rates, daemon, peer), peer) for peer in peers)
            yield f"{client} daemon / fastest peer ({fastest})", times, least, False
    daemon = _DAEMON.format("kafka-python")
    for peer in peers:
        if peer.startswith("Quix") and daemon in rates:
            yield f"kafka-python daemon / {peer}", 5, _ratio(rates, daemon, peer), False


def _ratio(rates: Rates, one: str, other: str) -> float:
    """Round by round, the median: what the machine does besides falls out."""
    return median(a / b for a, b in zip(rates[one], rates[other], strict=False))


def _core(rows: Rows) -> Iterator[Bar]:
    for engine, row in rows.items():
        yield f"scoring core, {engine}, events/s per core", 1e6, row["events/s per core"]["median"], False


def _latency(rows: Rows) -> Iterator[Bar]:
    for name, row in rows.items():
        if ", 50% of" in name:
            yield f"{name}: p50 ms", MAX_WAIT_MS + 10, row["p50 ms"]["median"], True
            yield f"{name}: p99 ms", 100, row["p99 ms"]["median"], True


def _startup(rows: Rows) -> Iterator[Bar]:
    if _NUMPY in rows:
        yield "numpy engine, kafka-python: s to ready", 1.5, rows[_NUMPY]["s to ready"]["median"], True


def _memory(throughput: Rows, startup: Rows) -> Iterator[Bar]:
    name = _DAEMON.format("kafka-python")
    if name not in throughput:
        return
    yield f"{name}: RSS growth over the second half, %", 5, 100 * throughput[name]["RSS growth"]["median"], True
    if IMPORTS in startup:
        above = throughput[name]["peak RSS MB"]["median"] - startup[IMPORTS]["RSS MB at ready"]["median"]
        yield f"{name}: peak RSS above the imports', MB", 120, above, True
