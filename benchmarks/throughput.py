"""Events per second of the bare poll loops, the daemon in every configuration, and the peers."""

import time
from collections.abc import Callable

from benchmarks.measure import MAX_RECORDS
from benchmarks.peers.environments import NotInstallableError
from benchmarks.results import Section, summarize
from benchmarks.rounds import Case, rows, run_rounds
from benchmarks.systems import PEERS, System, poll_loops_and_daemons
from benchmarks.testbed import Testbed
from detector.service.daemon import manual_garbage_collection
from detector.service.scoring import Scorer
from detector.settings import ModelSettings

BASELINE = "bare kafka-python"
_CORE_S = 3.0


def throughput(
    testbed: Testbed, total: int, repetitions: int, limit_s: float, is_selected: Callable[[str], bool]
) -> Section:
    """Run every selected system over the same backlog, in rounds.

    Args:
        testbed: the broker and the model.
        total: number of events in the backlog.
        repetitions: number of rounds.
        limit_s: longest time of a run; slow systems are measured on the events that they processed until then.
        is_selected: selects systems by name.
    """
    systems = [system for system in poll_loops_and_daemons() if is_selected(system.name)]
    peers, not_installable = _peers(is_selected)
    backlog = testbed.backlog(total)
    cases = [Case(system, backlog, limit_s) for system in [*systems, *peers]]
    results = run_rounds(testbed, "throughput", cases, repetitions)
    return Section(
        "throughput",
        f"Throughput: {backlog.total:,} events of {_mean_bytes(testbed):.0f} bytes, 1 % of them suspicious",
        rows(results, BASELINE),
        [*not_installable, *results.excluded],
    )


def scoring_core(testbed: Testbed) -> Section:
    """The rate from bytes in memory to scores, on one core, with the daemon's own code."""
    pool = testbed.pool()
    cores = {}
    for engine in ("torch", "numpy"):
        scorer = Scorer.load(ModelSettings(path=testbed.model, engine=engine))
        cores[engine] = summarize(_core_rates(scorer, pool))
    return Section(
        "core",
        "Scoring core: decoding and scoring in memory",
        [{"case": engine, "events/s per core": rates} for engine, rates in cores.items()],
    )


def _core_rates(scorer: Scorer, pool: list[bytes]) -> list[float]:
    """Events per second of CPU time, for each pass over the pool."""
    rates = []
    with manual_garbage_collection():
        deadline = time.perf_counter() + _CORE_S
        while time.perf_counter() < deadline:
            started = time.process_time()
            for start in range(0, len(pool), MAX_RECORDS):
                scorer.score(pool[start : start + MAX_RECORDS])
            rates.append(len(pool) / (time.process_time() - started))
    return rates[1:]  # without the first pass, which is the warm-up


def _peers(is_selected: Callable[[str], bool]) -> tuple[list[System], list[str]]:
    systems, not_installable = [], []
    for peer in filter(lambda peer: is_selected(peer.name), PEERS):
        try:
            systems.append(peer.system())
        except NotInstallableError as error:
            not_installable.append(f"{peer.name}: cannot be installed on this machine: {error}")
    return systems, not_installable


def _mean_bytes(testbed: Testbed) -> float:
    pool = testbed.pool()
    return sum(map(len, pool)) / len(pool)
