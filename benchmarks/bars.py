"""What the project promises of itself, held against a run."""

from collections.abc import Iterator, Mapping, Sequence
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
Rates = Mapping[str, float]


def _throughput(rows: Rows) -> Iterator[Bar]:
    """By rates relative to the bare kafka-python loop of the same round: what the machine does besides falls out."""
    rates = {name: row["relative rate"]["median"] for name, row in rows.items() if row["relative rate"]}
    yield from _clients(rates)
    yield from _peers(rates)
    if _NUMPY_DAEMON in rows:
        yield "numpy engine, kafka-python: peak RSS MB", 160, rows[_NUMPY_DAEMON]["peak RSS MB"]["median"], True


def _clients(rates: Rates) -> Iterator[Bar]:
    wanted = {"kafka-python": (0.85, None), "librdkafka": (2.2, 0.6)}
    for client, (of_kafka_python, of_its_own) in wanted.items():
        rate = rates.get(_DAEMON.format(client))
        if rate is None:
            continue
        yield f"{client} daemon / bare kafka-python loop", of_kafka_python, rate, False
        if of_its_own and (own := rates.get(f"bare {client}")):
            yield f"{client} daemon / bare {client} loop", of_its_own, rate / own, False
        if exactly_once := rates.get(_EXACTLY_ONCE.format(client)):
            yield f"{client} daemon: exactly-once / at-least-once", 0.65, exactly_once / rate, False


def _peers(rates: Rates) -> Iterator[Bar]:
    peers = {peer.name: rates[peer.name] for peer in PEERS if peer.name in rates}
    for client, times in (("kafka-python", 2), ("librdkafka", 4)):
        rate = rates.get(_DAEMON.format(client))
        if rate and peers:
            fastest = max(peers, key=lambda name: peers[name])
            yield f"{client} daemon / fastest peer ({fastest})", times, rate / peers[fastest], False
    for name, peer_rate in peers.items():
        if name.startswith("Quix") and (rate := rates.get(_DAEMON.format("kafka-python"))):
            yield f"kafka-python daemon / {name}", 5, rate / peer_rate, False


def _core(rows: Rows) -> Iterator[Bar]:
    for engine, row in rows.items():
        yield f"scoring core, {engine}, events/s per core", 1e6, row["events/s per core"]["median"], False


def _latency(rows: Rows) -> Iterator[Bar]:
    for name, row in rows.items():
        if ", 50% of" in name:
            yield f"{name}: p50 ms", MAX_WAIT_MS + 10, row["p50 ms"], True
            yield f"{name}: p99 ms", 100, row["p99 ms"], True


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
