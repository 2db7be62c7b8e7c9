"""Runs the cases in rounds, A B A B, so that other load on the machine affects all of them alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import Progress

from benchmarks.measure import Run, RunError, measure
from benchmarks.results import summarize
from benchmarks.systems import System
from benchmarks.testbed import Backlog, Testbed

console = Console(stderr=True)


@dataclass(frozen=True)
class Case:
    """A system and the backlog that it reads, to the end or for at most `limit_s`."""

    system: System
    backlog: Backlog
    limit_s: float = 600.0


@dataclass
class RoundResults:
    """The valid runs by system name, and the reason for each system that is excluded."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    excluded: list[str] = field(default_factory=list)


def run_rounds(testbed: Testbed, title: str, cases: Sequence[Case], repetitions: int) -> RoundResults:
    """Run each case once per round; a case that fails is excluded from later rounds."""
    results = RoundResults()
    remaining = list(cases)
    with Progress(console=console) as progress:
        task = progress.add_task(title, total=repetitions * len(cases))
        for _ in range(repetitions):
            for case in list(remaining):
                name = case.system.name
                progress.update(task, description=f"{title}: {name}")
                try:
                    run = measure(testbed, case.system, case.backlog, case.limit_s)
                    results.runs.setdefault(name, []).append(run)
                except RunError as error:
                    results.excluded.append(f"{name}: {error}")
                    remaining.remove(case)
                progress.advance(task)
    return results


def rows(results: RoundResults, reference: str) -> list[dict[str, Any]]:
    """A row per system, with rate and CPU time relative to those of the reference system in the same round."""
    against = results.runs.get(reference, [])
    return [_row(name, runs, against) for name, runs in results.runs.items()]


def _row(name: str, runs: Sequence[Run], against: Sequence[Run]) -> dict[str, Any]:
    def column(figure: Callable[[Run], float]) -> dict[str, Any]:
        return summarize(map(figure, runs))

    pairs = list(zip(runs, against, strict=False))
    rates = [run.events_per_s / other.events_per_s for run, other in pairs]
    costs = [run.cpu_us_per_event / other.cpu_us_per_event for run, other in pairs]
    return {
        "case": name,
        "events/s": column(lambda run: run.events_per_s),
        "relative rate": summarize(rates) if rates else None,
        "CPU µs/event": column(lambda run: run.cpu_us_per_event),
        "relative CPU": summarize(costs) if costs else None,
        "peak RSS MB": column(lambda run: run.peak_rss_mb),
        "RSS growth": column(lambda run: run.rss_growth),
        "duplicates": sum(run.duplicates for run in runs),
        "runs": len(runs),
    }
