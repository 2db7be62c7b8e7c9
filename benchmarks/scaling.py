"""One instance and two, over the same partitions, on this machine's cores and beside its broker."""

from contextlib import ExitStack

from benchmarks.contestants import detector
from benchmarks.daemons import wait_ready, with_http
from benchmarks.events import withheld
from benchmarks.measure import check_books, committed_events, running, span, wait_until
from benchmarks.results import Section, spread
from benchmarks.rounds import console
from benchmarks.scene import SUSPICIOUS_EVERY, Scene
from detector.local.topics import GroupProgress

INSTANCES = (1, 2)
_LIMIT_S = 300.0


def scaling(scene: Scene, total: int, repetitions: int) -> Section:
    """The rate of all instances together; the events become visible only once all of them are ready."""
    rates: dict[int, list[float]] = {instances: [] for instances in INSTANCES}
    cpu_us: dict[int, list[float]] = {instances: [] for instances in INSTANCES}
    for _ in range(repetitions):
        for instances in INSTANCES:
            with console.status(f"scaling: {instances} instances"):
                rate, cost_us = _together(scene, instances, total)
            rates[instances].append(rate)
            cpu_us[instances].append(cost_us)
    rows = [
        {
            "what": f"{instances} instance{'s' * (instances > 1)}",
            "events/s": spread(rates[instances]),
            "relative rate": spread(rate / one for rate, one in zip(rates[instances], rates[1], strict=True)),
            "CPU µs/event": spread(cpu_us[instances]),
        }
        for instances in INSTANCES
    ]
    return Section("scaling", f"Instances of one group over 4 partitions, {total:,} events", rows)


def _together(scene: Scene, instances: int, total: int) -> tuple[float, float]:
    """Events a second, and processor time in µs an event."""
    kafka = scene.new_kafka()
    with (
        withheld(kafka.bootstrap_servers, kafka.events_topic, scene.pool(), total) as release,
        ExitStack() as stack,
    ):
        processes = []
        for _ in range(instances):
            contestant, port = with_http(detector())
            process = stack.enter_context(running(scene, contestant, kafka))
            wait_ready(process, port)
            processes.append(process)
        progress = GroupProgress(kafka)
        stack.callback(progress.close)
        release()
        wait_until(lambda: committed_events(progress) >= total, _LIMIT_S, *processes)
    begin, end, events = span(check_books(kafka, SUSPICIOUS_EVERY), SUSPICIOUS_EVERY)
    return events / (end - begin), sum(process.cpu_s(begin, end) for process in processes) / events * 1e6
