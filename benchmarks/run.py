"""Runs the benchmarks on an embedded broker; prints tables and writes them to benchmarks/results."""

import argparse
import dataclasses
import json
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.console import Console

from benchmarks.features import features
from benchmarks.latency import daemons_by_client, latency
from benchmarks.measure import RunError, measure
from benchmarks.report import markdown, table
from benchmarks.results import Section, run_environment
from benchmarks.scaling import scaling
from benchmarks.startup import startup
from benchmarks.sweep import batch_sizes, batch_waits
from benchmarks.systems import detector
from benchmarks.targets import compare_with_targets
from benchmarks.testbed import Testbed, running_testbed
from benchmarks.throughput import scoring_core, throughput

RESULTS = Path(__file__).parent / "results"
SECTIONS = ("core", "throughput", "startup", "latency", "sweep", "features", "scaling")
_EVENTS = 1_000_000
"""With 300,000 events the fastest systems finish in half a second, with a quarter of the events prefetched."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="SECTION",
        help=f"sections to run: {', '.join(SECTIONS)} (default: all)",
    )
    parser.add_argument(
        "--only", metavar="NAMES", help="throughput: run only systems whose name contains one of these, comma-separated"
    )
    parser.add_argument(
        "--events", type=int, default=_EVENTS, metavar="N", help="events in a backlog (default: %(default)s)"
    )
    parser.add_argument(
        "--repetitions",
        type=int,
        default=3,
        metavar="N",
        help="rounds; each round runs every system once (default: %(default)s)",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=15,
        metavar="SECONDS",
        help="longest time of one run in throughput, sweep and features (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=10,
        metavar="SECONDS",
        help="duration of each steady load (default: %(default)s)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="rough figures in minutes: one round, 60,000 events, loads of 5 s"
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FOLDER",
        help="model folder (default: train the default recipe on the bundled sample)",
    )
    options = parser.parse_args()
    for section in options.sections:
        if section not in SECTIONS:
            parser.error(f"unknown section {section!r}; the sections are {', '.join(SECTIONS)}")
    if options.quick:
        options.events, options.repetitions, options.seconds = 60_000, 1, 5.0
    return options


def _measurements(testbed: Testbed, options: argparse.Namespace) -> dict[str, Callable[[], Iterable[Section]]]:
    total, repetitions, seconds, limit_s = options.events, options.repetitions, options.seconds, options.limit
    parts = [part.lower() for part in options.only.split(",")] if options.only else [""]

    def is_selected(name: str) -> bool:
        return any(part in name.lower() for part in parts)

    def sweep() -> Iterator[Section]:
        yield batch_sizes(testbed, total, repetitions, limit_s)
        capacity = measure(testbed, detector(), testbed.backlog(total)).events_per_s
        yield batch_waits(testbed, capacity, seconds, repetitions)

    return {
        "core": lambda: [scoring_core(testbed)],
        "throughput": lambda: [throughput(testbed, total, repetitions, limit_s, is_selected)],
        "startup": lambda: [startup(testbed, repetitions)],
        "latency": lambda: [latency(testbed, daemons_by_client(), total, seconds, repetitions)],
        "sweep": sweep,
        "features": lambda: [features(testbed, total, repetitions, limit_s)],
        "scaling": lambda: [scaling(testbed, total, repetitions)],
    }


def _run(options: argparse.Namespace) -> Iterator[Section]:
    with running_testbed(options.model) as testbed:
        for name, run in _measurements(testbed, options).items():
            if not options.sections or name in options.sections:
                try:
                    yield from run()
                except RunError as error:
                    yield Section(name, name, [], [str(error)])


def main() -> None:
    """Run, print and write each section in turn, so that an interrupted run keeps the sections that are done."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # runs the cleanup, so that no process is left behind
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 160)
    environment = run_environment()
    sections: list[Section] = []
    for section in _run(options):
        sections.append(section)
        console.print(table(section))
        _write(environment, [*sections, compare_with_targets(sections)])
    console.print(table(compare_with_targets(sections)))
    print(f"Results written to {RESULTS / 'latest.json'} and {RESULTS / 'latest.md'}")


def _write(environment: dict[str, object], sections: list[Section]) -> None:
    RESULTS.mkdir(exist_ok=True)
    results = {**environment, "sections": [dataclasses.asdict(section) for section in sections]}
    (RESULTS / "latest.json").write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    (RESULTS / "latest.md").write_text("\n".join(map(markdown, sections)))


if __name__ == "__main__":
    main()
