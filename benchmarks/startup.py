"""Time from the start of the process until it is ready, and its memory at that moment."""

import subprocess
import sys

from benchmarks.measure import RunError, running
from benchmarks.process import MEGABYTE
from benchmarks.readiness import wait_until_ready, with_http_port
from benchmarks.results import Section, summarize
from benchmarks.rounds import console
from benchmarks.systems import CLIENTS, ENGINES, detector
from benchmarks.testbed import Testbed

IMPORTS = "only importing torch, numpy and kafka"
_IMPORT = "import torch, numpy, kafka; print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"


def startup(testbed: Testbed, repetitions: int) -> Section:
    """Each client with each engine, in rounds; ready: model loaded, partitions assigned, producer connected."""
    systems = {f"{client} {engine}": detector(client, engine) for client in CLIENTS for engine in ENGINES}
    seconds: dict[str, list[float]] = {}
    rss_mb: dict[str, list[float]] = {}
    excluded: list[str] = []
    for _ in range(repetitions):
        for name in list(systems):
            system, port = with_http_port(systems[name])
            with console.status(f"start-up: {name}"), running(testbed, system, testbed.new_topics()) as process:
                try:
                    seconds.setdefault(name, []).append(wait_until_ready(process, port))
                    rss_mb.setdefault(name, []).append(process.peak_rss_bytes / MEGABYTE)
                except RunError as error:
                    excluded.append(f"{system.name}: {error}")
                    del systems[name], seconds[name]
    rows = [
        {
            "case": name,
            "seconds to ready": summarize(values),
            "RSS MB at ready": summarize(rss_mb[name]),
            "runs": len(values),
        }
        for name, values in seconds.items()
    ]
    rows.append({"case": IMPORTS, "RSS MB at ready": summarize([_imports_mb()]), "runs": 1})
    return Section("startup", "Start-up: from the start of the process until it is ready", rows, excluded)


def _imports_mb() -> float:
    done = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024 / MEGABYTE
