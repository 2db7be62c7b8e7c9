"""`make bench`: the daemon against a bare poll loop, the scoring core, and memory."""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.events import event_pool, produce
from detector.local.broker import EmbeddedBroker
from detector.local.demo import SAMPLE
from detector.local.topics import create_topics
from detector.model.folder import CURRENT
from detector.service.daemon import collected_by_hand
from detector.service.scoring import Scorer
from detector.settings import KafkaSettings, ModelSettings
from detector.training.data import load_data
from detector.training.recipes import DEFAULT
from detector.training.train import publish, train

PARTITIONS = 4
MAX_RECORDS = 2000
ALERT_SHARE = 0.01
EXACTLY_ONCE = "daemon exactly-once"
RESULTS = Path(__file__).parent / "results" / "latest.json"
MEGABYTE = 1 << 20


def scoring_core(scorer: Scorer, pool: list[bytes], seconds: float = 3.0) -> list[float]:
    """Events a second from bytes in memory to scores, one figure for each pass over the pool, as the daemon runs."""
    rates = []
    with collected_by_hand():
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            started = time.process_time()
            for start in range(0, len(pool), MAX_RECORDS):
                scorer.score(pool[start : start + MAX_RECORDS])
            rates.append(len(pool) / (time.process_time() - started))
    return rates[1:]  # the first pass warms up


def child(kind: str, config: Mapping[str, Any]) -> dict[str, float]:
    """Run one measured process."""
    command = [sys.executable, "-m", "benchmarks.child", kind, json.dumps(config)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def throughput(kafka: KafkaSettings, model: Path, total: int, repetitions: int) -> dict[str, list[dict[str, float]]]:
    """The bare loop and the daemon in turn, each run as a new group over the whole topic."""
    runs: dict[str, list[dict[str, float]]] = {"bare": [], "daemon": [], EXACTLY_ONCE: []}
    for number in range(repetitions):
        for kind, results in runs.items():
            config = {
                "guarantee": "exactly-once" if kind == EXACTLY_ONCE else "at-least-once",
                "bootstrap_servers": kafka.bootstrap_servers,
                "topic": kafka.events_topic,
                "alerts_topic": kafka.alerts_topic,
                "dead_letter_topic": kafka.dead_letter_topic,
                "group": f"{kind.replace(' ', '-')}-{number}",
                "total": total,
                "max_records": MAX_RECORDS,
                "model": str(model),
            }
            result = child(kind.split()[0], config)
            _require_complete(kind, result, total)
            results.append(result)
    return runs


def _require_complete(kind: str, result: Mapping[str, float], total: int) -> None:
    if result["records"] != total:
        raise RuntimeError(f"{kind} read {result['records']} of {total} records")
    if kind != "bare" and (result["scored"] != total or result["alerts"] != total * ALERT_SHARE):
        raise RuntimeError(f"the daemon scored {result['scored']} and alerted {result['alerts']} of {total}")


def main() -> None:
    """Run everything, print it, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    with TemporaryDirectory() as folder, EmbeddedBroker() as broker:
        trained = train(DEFAULT, load_data(SAMPLE, seed=0), Path(folder), seed=0)
        publish(trained)
        model = Path(folder) / CURRENT
        scorers = {name: Scorer.load(ModelSettings(path=model, engine=name)) for name in ("torch", "numpy")}
        pool = event_pool(scorers["torch"], ALERT_SHARE)
        core = {name: scoring_core(scorer, pool) for name, scorer in scorers.items()}
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka, PARTITIONS)
        produce(kafka.bootstrap_servers, kafka.events_topic, pool, options.events, PARTITIONS)
        runs = throughput(kafka, model, options.events, options.repetitions)
        baseline = child("imports", {})["peak_rss"]
    results = summarize(core, runs, baseline, sum(map(len, pool)) / len(pool))
    show(results)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written to {RESULTS}")


def summarize(
    core: Mapping[str, list[float]],
    runs: Mapping[str, list[dict[str, float]]],
    baseline: float,
    event_bytes: float,
) -> dict[str, Any]:
    """Medians and spreads."""
    rates = {kind: [result["records"] / result["seconds"] for result in results] for kind, results in runs.items()}
    ratios = [daemon / bare for bare, daemon in zip(rates["bare"], rates["daemon"], strict=True)]
    transactions = [once / daemon for daemon, once in zip(rates["daemon"], rates[EXACTLY_ONCE], strict=True)]
    daemon = runs["daemon"]
    return {
        "machine": {"cpus": os.cpu_count(), "processor": platform.processor() or platform.machine()},
        "versions": {name: importlib.metadata.version(name) for name in ("kafka-python", "torch", "numpy", "msgspec")},
        "event_bytes": event_bytes,
        "scoring_core_events_per_s": {name: _spread(values) for name, values in core.items()},
        "records_per_s": {kind: _spread(values) for kind, values in rates.items()},
        "daemon_to_bare": _spread(ratios),
        "exactly_once_to_at_least_once": _spread(transactions),
        "daemon_stage_us_per_record": {
            stage: statistics.median(run[f"{stage}_s"] / run["records"] * 1e6 for run in daemon)
            for stage in ("decode", "score", "deliver", "commit")
        },
        "cpu_us_per_record": {
            kind: statistics.median(run["cpu_seconds"] / run["records"] * 1e6 for run in results)
            for kind, results in runs.items()
        },
        "daemon_peak_rss_over_imports_mb": _spread([(run["peak_rss"] - baseline) / MEGABYTE for run in daemon]),
        "daemon_rss_second_half_growth": _spread([run["rss_end"] / run["rss_half"] - 1 for run in daemon]),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def show(results: Mapping[str, Any]) -> None:
    """The table."""
    table = Table(title=f"events of {results['event_bytes']:.0f} bytes")
    for column in ("what", "median", "min", "max"):
        table.add_column(column, justify="left" if column == "what" else "right")
    rows = {
        **{f"scoring core, {name}, events/s": (v, ",.0f") for name, v in results["scoring_core_events_per_s"].items()},
        **{f"{kind}, records/s": (v, ",.0f") for kind, v in results["records_per_s"].items()},
        "daemon / bare": (results["daemon_to_bare"], ".3f"),
        "exactly-once / at-least-once": (results["exactly_once_to_at_least_once"], ".3f"),
        "peak RSS over imports, MB": (results["daemon_peak_rss_over_imports_mb"], ".1f"),
        "RSS growth in the second half": (results["daemon_rss_second_half_growth"], "+.1%"),
    }
    for name, (spread, form) in rows.items():
        table.add_row(name, *(format(spread[key], form) for key in ("median", "min", "max")))
    Console().print(table)
    for name in ("daemon_stage_us_per_record", "cpu_us_per_record"):
        print(name.replace("_", " "), {key: round(value, 2) for key, value in results[name].items()})


if __name__ == "__main__":
    main()
