"""`make bench`: all measurements in one run, printed as tables, written as JSON and Markdown."""

import argparse
import dataclasses
import json
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.console import Console

from benchmarks.bars import bars
from benchmarks.contestants import detector
from benchmarks.features import features
from benchmarks.latency import default_contestants, latency
from benchmarks.measure import RunError, measure
from benchmarks.report import markdown, table
from benchmarks.results import Section, surroundings
from benchmarks.scaling import scaling
from benchmarks.scene import Scene, scene
from benchmarks.startup import startup
from benchmarks.sweep import batch_sizes, batch_waits
from benchmarks.throughput import scoring_core, throughput

RESULTS = Path(__file__).parent / "results"
SECTIONS = ("core", "throughput", "startup", "latency", "sweep", "features", "scaling")
_EVENTS = 1_000_000
"""The quickest finish 300,000 in half a second, and a quarter of those were in a client's queue at the start."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all without any")
    parser.add_argument("--only", help="throughput: the contestants with one of these in their names, comma-separated")
    parser.add_argument("--events", type=int, default=_EVENTS, help="in the backlog (1,000,000)")
    parser.add_argument("--repetitions", type=int, default=3, help="rounds in which all take turns (3)")
    parser.add_argument(
        "--limit", type=float, default=15, help="s that one run of throughput, sweep or features may take (15)"
    )
    parser.add_argument("--seconds", type=float, default=10, help="of each steady load (10)")
    parser.add_argument("--quick", action="store_true", help="a sight of everything: 60,000 events, once, loads of 5 s")
    parser.add_argument("--model", type=Path, help="a model folder; without, the default recipe is trained first")
    options = parser.parse_args()
    for section in options.sections:
        if section not in SECTIONS:
            parser.error(f"no section {section!r}: there are {', '.join(SECTIONS)}")
    if options.quick:
        options.events, options.repetitions, options.seconds = 60_000, 1, 5.0
    return options


def _measurements(here: Scene, options: argparse.Namespace) -> dict[str, Callable[[], Iterable[Section]]]:
    total, repetitions, seconds, limit_s = options.events, options.repetitions, options.seconds, options.limit
    parts = [part.lower() for part in options.only.split(",")] if options.only else [""]

    def wanted(name: str) -> bool:
        return any(part in name.lower() for part in parts)

    def sweep() -> Iterator[Section]:
        yield batch_sizes(here, total, repetitions, limit_s)
        capacity = measure(here, detector(), here.backlog(total)).events_per_s
        yield batch_waits(here, capacity, seconds, repetitions)

    return {
        "core": lambda: [scoring_core(here)],
        "throughput": lambda: [throughput(here, total, repetitions, limit_s, wanted)],
        "startup": lambda: [startup(here, repetitions)],
        "latency": lambda: [latency(here, default_contestants(), total, seconds, repetitions)],
        "sweep": sweep,
        "features": lambda: [features(here, total, repetitions, limit_s)],
        "scaling": lambda: [scaling(here, total, repetitions)],
    }


def _run(options: argparse.Namespace) -> Iterator[Section]:
    with scene(options.model) as here:
        for name, run in _measurements(here, options).items():
            if not options.sections or name in options.sections:
                try:
                    yield from run()
                except RunError as error:
                    yield Section(name, name, [], [str(error)])


def main() -> None:
    """Measure, print, write; after each section, so that a run that is broken off leaves what it has."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwinds: no process is left behind
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 160)
    before = surroundings()
    sections: list[Section] = []
    for section in _run(options):
        sections.append(section)
        console.print(table(section))
        _write(before, [*sections, bars(sections)])
    console.print(table(bars(sections)))
    print(f"written to {RESULTS}/latest.json and latest.md")


def _write(before: dict[str, object], sections: list[Section]) -> None:
    RESULTS.mkdir(exist_ok=True)
    results = {**before, "sections": [dataclasses.asdict(section) for section in sections]}
    (RESULTS / "latest.json").write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    (RESULTS / "latest.md").write_text("\n".join(map(markdown, sections)))


if __name__ == "__main__":
    main()
