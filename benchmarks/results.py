"""What a benchmark leaves: where it ran, and for each section its rows."""

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

from benchmarks.contestants import PEERS
from detector.local.kafka_distribution import KAFKA_VERSION

_LIBRARIES = ("kafka-python", "confluent-kafka", "torch", "numpy", "msgspec")


@dataclass(frozen=True)
class Section:
    """A table: its title, the column names, one mapping of column to value for each row, and what was left out."""

    name: str
    title: str
    rows: Sequence[Mapping[str, Any]]
    left_out: Sequence[str] = ()


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Median, least and greatest, and all of them in order: of two rows those of one round belong together."""
    figures = list(values)
    return {"median": statistics.median(figures), "min": min(figures), "max": max(figures), "values": figures}


def surroundings() -> dict[str, Any]:
    """The machine, the commit and the versions."""
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
