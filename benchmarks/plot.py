"""Plots the sweep of a run: `python -m benchmarks.plot RESULTS SVG` reads the JSON and writes the figure."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_HEADROOM = 1.1


def _batch_size(axes: Axes, rows: list[dict[str, Any]]) -> None:
    sizes = [row["records"] for row in rows]
    rates = [row["events/s"] for row in rows]
    medians = [rate["median"] for rate in rates]
    below = [rate["median"] - rate["min"] for rate in rates]
    above = [rate["max"] - rate["median"] for rate in rates]
    axes.errorbar(sizes, medians, yerr=[below, above], marker="o", capsize=3)
    axes.set(xscale="log", xlabel="DETECTOR_BATCH__MAX_RECORDS", ylabel="events/s, from a backlog", ylim=(0, None))
    axes.set_title("Largest batch")


def _batch_wait(axes: Axes, rows: list[dict[str, Any]]) -> None:
    waits = [row["wait ms"] for row in rows]

    def medians(column: str) -> list[float]:
        return [row[column]["median"] for row in rows]

    for quantile in ("p50", "p99"):
        axes.plot(waits, medians(f"{quantile} ms"), marker="o", label=f"{quantile} event to alert, ms")
    axes.set(xlabel="DETECTOR_BATCH__MAX_WAIT_MS", ylabel="ms", ylim=(0, None))
    costs = medians("CPU µs/event")
    cost = axes.twinx()
    cost.plot(waits, costs, marker="s", color="grey", label="CPU, µs an event (right)")
    cost.set(ylim=(0, _HEADROOM * max(costs)))
    lines = [*axes.get_lines(), *cost.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines])
    axes.set_title("Longest wait, at half of capacity")


def main() -> None:
    """Read the results and write the figure."""
    results, svg = sys.argv[1:]
    sections = {section["name"]: section["rows"] for section in json.loads(Path(results).read_text())["sections"]}
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    _batch_size(left, sections["batch_size"])
    _batch_wait(right, sections["batch_wait"])
    # A fixed salt, so that the same results always give the same file.
    mpl.rcParams["svg.hashsalt"] = "detector"
    figure.savefig(svg, metadata={"Date": None})


if __name__ == "__main__":
    main()
