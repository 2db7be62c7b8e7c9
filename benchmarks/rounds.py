"""Runs in turn, A B A B: what else the machine does meanwhile then falls on all alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import Progress

from benchmarks.contestants import Contestant
from benchmarks.measure import RefusedError, Run, RunError, measure
from benchmarks.results import spread
from benchmarks.scene import Backlog, Scene

console = Console(stderr=True)


@dataclass(frozen=True)
class Case:
    """A contestant over a backlog; run to its end, or for so many seconds when that is sooner."""

    contestant: Contestant
    backlog: Backlog
    limit_s: float = 600.0


@dataclass
class Outcome:
    """The runs that count, by the contestant's name, and a line for each contestant that was left out."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    failed: bool = False


def in_rounds(scene: Scene, what: str, cases: Sequence[Case], repetitions: int) -> Outcome:
    """Each case once a round; one that fails is left out from then on, and its line is kept."""
    outcome = Outcome()
    remaining = list(cases)
    with Progress(console=console) as progress:
        task = progress.add_task(what, total=repetitions * len(cases))
        for _ in range(repetitions):
            for case in list(remaining):
                name = case.contestant.name
                progress.update(task, description=f"{what}: {name}")
                try:
                    run = measure(scene, case.contestant, case.backlog, case.limit_s)
                    outcome.runs.setdefault(name, []).append(run)
                except RunError as error:
                    outcome.left_out.append(f"{name}: {error}")
                    outcome.failed |= not isinstance(error, RefusedError)
                    remaining.remove(case)
                progress.advance(task)
    return outcome


def rows(outcome: Outcome, reference: str) -> list[dict[str, Any]]:
    """A row for each contestant, with its rate and processor time relative to another's of the same round."""
    against = outcome.runs.get(reference, [])
    return [_row(name, runs, against) for name, runs in outcome.runs.items()]


def _row(name: str, runs: Sequence[Run], against: Sequence[Run]) -> dict[str, Any]:
    def column(figure: Callable[[Run], float]) -> dict[str, Any]:
        return spread(map(figure, runs))

    pairs = list(zip(runs, against, strict=False))
    rates = [run.events_per_s / other.events_per_s for run, other in pairs]
    costs = [run.cpu_us_per_event / other.cpu_us_per_event for run, other in pairs]
    return {
        "what": name,
        "events/s": column(lambda run: run.events_per_s),
        "relative rate": spread(rates) if rates else None,
        "CPU µs/event": column(lambda run: run.cpu_us_per_event),
        "relative CPU": spread(costs) if costs else None,
        "peak RSS MB": column(lambda run: run.peak_rss_mb),
        "RSS growth": column(lambda run: run.rss_growth),
        "duplicates": sum(run.duplicates for run in runs),
        "runs": len(runs),
    }
