"""Measures the time and memory of training on files of BETH's full size: `python -m benchmarks.training`.

Each feature is drawn from its published marginal distribution. The resulting model is meaningless, but time and memory
are those of training on the real files. Further arguments are passed to `train.py`.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from detector.features.beth import BETH

_MARGINALS = json.loads((Path(__file__).parent / "beth_marginals.json").read_text())
_ORDINARY_USER = 1000
_LOGIN_ROWS = 273
"""Suspicious rows at the start of the training split that do not belong to an ordinary user."""


def write_split(path: Path, rows: int, seed: int) -> None:
    """Write a CSV file with random rows."""
    random = np.random.default_rng(seed)
    columns = {name: _draw(name, rows, random) for name in BETH.names}
    suspicious = columns["userId"] >= _ORDINARY_USER
    suspicious[:_LOGIN_ROWS] = True
    table = np.column_stack([*columns.values(), suspicious.astype(np.int64)])
    with path.open("w") as file:
        file.write(",".join([*BETH.names, "sus_label"]) + "\n")
        np.savetxt(file, table, fmt="%d", delimiter=",")


def _draw(name: str, rows: int, random: np.random.Generator) -> Any:
    if name in _MARGINALS["quantiles"]:
        edges = _MARGINALS["quantiles"][name]
        return np.interp(random.random(rows), np.linspace(0, 1, len(edges)), edges).astype(np.int64)
    counts = _MARGINALS["counts"][name]
    values, weights = np.array(list(counts), dtype=np.int64), np.array(list(counts.values()), dtype=np.float64)
    return random.choice(values, rows, p=weights / weights.sum())


def main() -> None:
    """Generate the files, run `train.py`, and print its time and memory."""
    with TemporaryDirectory() as folder:
        for seed, (split, rows) in enumerate(_MARGINALS["rows"].items()):
            write_split(Path(folder) / f"labelled_{split}.csv", rows, seed)
        started = time.perf_counter()
        command = [sys.executable, "train.py", folder, "--output", f"{folder}/models", *sys.argv[1:]]
        subprocess.run(command, check=True)
        elapsed_s = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{_MARGINALS['rows']['train']:,} training rows on {os.cpu_count()} cores: {elapsed_s:.0f} s, "
        f"{usage.ru_utime + usage.ru_stime:.0f} s of CPU time, peak RSS {usage.ru_maxrss / 1024:.0f} MB"
    )


if __name__ == "__main__":
    main()
