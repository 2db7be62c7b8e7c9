"""What the project promises of itself, held against a run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.contestants import PEERS
from benchmarks.measure import MAX_WAIT_MS
from benchmarks.results import Section

_DAEMON = "detector {} torch at-least-once"
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


def _throughput(rows: Rows) -> Iterator[Bar]:
    rates = {name: row["events/s"]["median"] for name, row in rows.items()}
    peers = {peer.name: rates[peer.name] for peer in PEERS if peer.name in rates}
    ours = {client: rates.get(_DAEMON.format(client)) for client in ("kafka-python", "librdkafka")}
    bare = {client: rates.get(f"bare {client}") for client in ours}
    plain, fast = ours["kafka-python"], ours["librdkafka"]
    if plain and bare["kafka-python"]:
        relative = rows[_DAEMON.format("kafka-python")]["relative rate"]["median"]
        yield "kafka-python daemon / bare kafka-python loop", 0.85, relative, False
    if fast and bare["kafka-python"] and bare["librdkafka"]:
        yield "librdkafka daemon / bare kafka-python loop", 2.2, fast / bare["kafka-python"], False
        yield "librdkafka daemon / bare librdkafka loop", 0.6, fast / bare["librdkafka"], False
    if peers:
        fastest = max(peers, key=lambda name: peers[name])
        if plain:
            yield f"kafka-python daemon / fastest peer ({fastest})", 2, plain / peers[fastest], False
        if fast:
            yield f"librdkafka daemon / fastest peer ({fastest})", 4, fast / peers[fastest], False
    if _NUMPY_DAEMON in rows:
        yield "numpy engine, kafka-python: peak RSS MB", 160, rows[_NUMPY_DAEMON]["peak RSS MB"]["median"], True
    for name, rate in peers.items():
        if plain and name.startswith("Quix"):
            yield f"kafka-python daemon / {name}", 5, plain / rate, False


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
