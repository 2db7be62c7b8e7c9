"""The sweep's figure on the page of performance."""

import json
import subprocess
import sys

from benchmarks.results import spread


def test_sweep_is_drawn_with_the_command_of_the_docs(tmp_path):
    """From the JSON that a run of the benchmarks leaves; the same figures give the same file."""
    sizes = [{"records": size, "events/s": spread([size, 2.0 * size])} for size in (500, 5000)]
    waits = [
        {"wait ms": wait, "p50 ms": spread([wait]), "p99 ms": spread([3 * wait]), "CPU µs/event": spread([9.0])}
        for wait in (5, 20)
    ]
    sections = [{"name": "batch_size", "rows": sizes}, {"name": "batch_wait", "rows": waits}]
    results, drawn = tmp_path / "latest.json", []
    results.write_text(json.dumps({"sections": sections}))

    for svg in (tmp_path / "one.svg", tmp_path / "two.svg"):
        subprocess.run([sys.executable, "-m", "benchmarks.plot", results, svg], check=True, timeout=120)
        drawn.append(svg.read_text())

    assert drawn[0] == drawn[1]
    assert all(f"<!-- {title} -->" in drawn[0] for title in ("Largest batch", "Longest wait, at half of capacity"))
