"""The figure of the sweep in docs/explanation/performance.md."""

import json
import subprocess
import sys

from benchmarks.results import summarize


def test_sweep_is_drawn_with_the_command_of_the_docs(tmp_path):
    """Otherwise nobody could draw the documented figure again from the same results."""
    sizes = [{"records": size, "events/s": summarize([size, 2.0 * size])} for size in (500, 5000)]
    waits = [
        {
            "wait ms": wait,
            "p50 ms": summarize([wait]),
            "p99 ms": summarize([3 * wait]),
            "CPU µs/event": summarize([9.0]),
        }
        for wait in (5, 20)
    ]
    sections = [{"name": "batch_size", "rows": sizes}, {"name": "batch_wait", "rows": waits}]
    results = tmp_path / "latest.json"
    figures: list[str] = []
    results.write_text(json.dumps({"sections": sections}))

    for svg in (tmp_path / "one.svg", tmp_path / "two.svg"):
        subprocess.run([sys.executable, "-m", "benchmarks.plot", results, svg], check=True, timeout=120)
        figures.append(svg.read_text())

    assert figures[0] == figures[1]
    assert all(f"<!-- {title} -->" in figures[0] for title in ("Largest batch", "Longest wait, at half of capacity"))
