"""The results of a benchmark run: the machine and versions, and the rows of each section."""

import importlib.metadata
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.systems import PEERS
from detector.local.kafka_distribution import KAFKA_VERSION

_LIBRARIES = ("kafka-python", "confluent-kafka", "torch", "numpy", "msgspec")


@dataclass(frozen=True)
class Section:
    """A table: its rows map column names to values; `excluded` has the reason for each case that is not in it."""

    name: str
    title: str
    rows: Sequence[Mapping[str, Any]]
    excluded: Sequence[str] = ()


def summarize(values: Iterable[float]) -> dict[str, Any]:
    """Median, minimum, maximum, and all values in the order of the rounds, to compare rows round by round."""
    figures = list(values)
    return {"median": statistics.median(figures), "min": min(figures), "max": max(figures), "values": figures}


def run_environment() -> dict[str, Any]:
    """The machine, the commit and the versions of a run."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "cpus": os.cpu_count(),
            "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
            "memory": _field("/proc/meminfo", "MemTotal"),
            "kernel": platform.release(),
            "load_average": os.getloadavg(),
        },
        "versions": {
            "python": platform.python_version(),
            "Apache Kafka": KAFKA_VERSION,
            **{name: importlib.metadata.version(name) for name in _LIBRARIES},
        },
        "peers": {peer.name: f"{peer.package} {peer.version}" for peer in PEERS},
    }


def _field(file: str, name: str) -> str | None:
    lines = (line.partition(":") for line in Path(file).read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), None)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return done.stdout.strip() or "unknown"
