"""How many events a second: the bare loops, the daemon in all its forms, the peers."""

import time
from collections.abc import Callable

from benchmarks.contestants import PEERS, Contestant, ours
from benchmarks.measure import MAX_RECORDS
from benchmarks.peers.environments import NotInstallableError
from benchmarks.results import Section, spread
from benchmarks.rounds import Case, in_rounds, rows
from benchmarks.scene import Scene
from detector.service.daemon import collected_by_hand
from detector.service.scoring import Scorer
from detector.settings import ModelSettings

BASELINE = "bare kafka-python"
_CORE_S = 3.0


def throughput(scene: Scene, total: int, repetitions: int, limit_s: float, wanted: Callable[[str], bool]) -> Section:
    """Every contestant whose name is wanted, over one backlog, in turn.

    Args:
        scene: the broker and the model.
        total: events in the backlog.
        repetitions: rounds.
        limit_s: what a run may take; the slow are measured on what they did until then.
        wanted: chooses by name.
    """
    contestants = [contestant for contestant in ours() if wanted(contestant.name)]
    peers, not_installable = _peers(wanted)
    backlog = scene.backlog(total)
    cases = [Case(contestant, backlog, limit_s) for contestant in [*contestants, *peers]]
    outcome = in_rounds(scene, "throughput", cases, repetitions)
    return Section(
        "throughput",
        f"Throughput: {backlog.total:,} events of {_mean_bytes(scene):.0f} bytes, 1 % of them suspicious",
        rows(outcome, BASELINE),
        [*not_installable, *outcome.left_out],
    )


def scoring_core(scene: Scene) -> Section:
    """From bytes in memory to scores, on one core, as the daemon does it."""
    pool = scene.pool()
    cores = {}
    for engine in ("torch", "numpy"):
        scorer = Scorer.load(ModelSettings(path=scene.model, engine=engine))
        cores[engine] = spread(_core_rates(scorer, pool))
    return Section("core", "Scoring core", [{"what": k, "events/s per core": v} for k, v in cores.items()])


def _core_rates(scorer: Scorer, pool: list[bytes]) -> list[float]:
    """One figure for each pass over the pool."""
    rates = []
    with collected_by_hand():
        deadline = time.perf_counter() + _CORE_S
        while time.perf_counter() < deadline:
            started = time.process_time()
            for start in range(0, len(pool), MAX_RECORDS):
                scorer.score(pool[start : start + MAX_RECORDS])
            rates.append(len(pool) / (time.process_time() - started))
    return rates[1:]  # the first pass warms up


def _peers(wanted: Callable[[str], bool]) -> tuple[list[Contestant], list[str]]:
    contestants, not_installable = [], []
    for peer in filter(lambda peer: wanted(peer.name), PEERS):
        try:
            contestants.append(peer.contestant())
        except NotInstallableError as error:
            not_installable.append(f"{peer.name}: cannot be installed here: {error}")
    return contestants, not_installable


def _mean_bytes(scene: Scene) -> float:
    pool = scene.pool()
    return sum(map(len, pool)) / len(pool)
