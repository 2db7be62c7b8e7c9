"""From the start of the process to ready, and the memory it has then."""

from benchmarks.contestants import CLIENTS, ENGINES, detector
from benchmarks.daemons import wait_ready, with_http
from benchmarks.measure import RunError, running
from benchmarks.process import MEGABYTE
from benchmarks.results import Section, spread
from benchmarks.rounds import console
from benchmarks.scene import Scene


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
    return Section("startup", "Start of the process to ready", rows, left_out)
