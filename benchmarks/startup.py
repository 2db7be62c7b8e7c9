"""From the start of the process to ready, and the memory it has then."""

import subprocess
import sys

from benchmarks.contestants import CLIENTS, ENGINES, detector
from benchmarks.daemons import wait_ready, with_http
from benchmarks.measure import RunError, running
from benchmarks.process import MEGABYTE
from benchmarks.results import Section, spread
from benchmarks.rounds import console
from benchmarks.scene import Scene

IMPORTS = "torch, numpy and kafka imported, nothing else"
_IMPORT = "import torch, numpy, kafka; print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"


def startup(scene: Scene, repetitions: int) -> Section:
    """Each client with each engine, in turn; ready is a model loaded, partitions assigned and a producer connected."""
    contestants = {f"{client} {engine}": detector(client, engine) for client in CLIENTS for engine in ENGINES}
    seconds: dict[str, list[float]] = {}
    rss_mb: dict[str, list[float]] = {}
    left_out: list[str] = []
    for _ in range(repetitions):
        for name in list(contestants):
            contestant, port = with_http(contestants[name])
            with console.status(f"start-up: {name}"), running(scene, contestant, scene.new_kafka()) as process:
                try:
                    seconds.setdefault(name, []).append(wait_ready(process, port))
                    rss_mb.setdefault(name, []).append(process.peak_rss_bytes / MEGABYTE)
                except RunError as error:
                    left_out.append(f"{contestant.name}: {error}")
                    del contestants[name], seconds[name]
    rows = [
        {"what": name, "s to ready": spread(values), "RSS MB at ready": spread(rss_mb[name]), "runs": len(values)}
        for name, values in seconds.items()
    ]
    rows.append({"what": IMPORTS, "RSS MB at ready": spread([_imports_mb()]), "runs": 1})
    return Section("startup", "Start of the process to ready", rows, left_out)


def _imports_mb() -> float:
    done = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024 / MEGABYTE
