"""One and two instances of a consumer group over the same partitions; they share the machine with the broker."""

from contextlib import ExitStack, closing

from benchmarks.events import open_transaction
from benchmarks.measure import alert_interval, check_alerts, committed_events, running, wait_until
from benchmarks.readiness import wait_until_ready, with_http_port
from benchmarks.results import Section, summarize
from benchmarks.rounds import console
from benchmarks.systems import detector
from benchmarks.testbed import SUSPICIOUS_EVERY, Testbed
from detector.stream.admin.groups import GroupProgress

INSTANCES = (1, 2)
_LIMIT_S = 300.0


def scaling(testbed: Testbed, total: int, repetitions: int) -> Section:
    """The total rate of all instances; the events become visible when all instances are ready."""
    rates: dict[int, list[float]] = {instances: [] for instances in INSTANCES}
    cpu_us: dict[int, list[float]] = {instances: [] for instances in INSTANCES}
    for _ in range(repetitions):
        for instances in INSTANCES:
            with console.status(f"scaling: {instances} instances"):
                rate, cost_us = _run_instances(testbed, instances, total)
            rates[instances].append(rate)
            cpu_us[instances].append(cost_us)
    rows = [
        {
            "case": f"{instances} instance{'s' * (instances > 1)}",
            "events/s": summarize(rates[instances]),
            "relative rate": summarize(rate / single for rate, single in zip(rates[instances], rates[1], strict=True)),
            "CPU µs/event": summarize(cpu_us[instances]),
        }
        for instances in INSTANCES
    ]
    return Section("scaling", f"Instances of one group over 4 partitions, {total:,} events", rows)


def _run_instances(testbed: Testbed, instances: int, total: int) -> tuple[float, float]:
    """Events per second, and CPU time in µs per event, of all instances together."""
    kafka = testbed.new_topics()
    with (
        open_transaction(kafka.bootstrap_servers, kafka.events_topic, testbed.pool(), total) as commit,
        ExitStack() as stack,
    ):
        processes = []
        for _ in range(instances):
            system, port = with_http_port(detector())
            process = stack.enter_context(running(testbed, system, kafka))
            wait_until_ready(process, port)
            processes.append(process)
        progress = stack.enter_context(closing(GroupProgress(kafka)))
        commit()
        wait_until(lambda: committed_events(progress) >= total, _LIMIT_S, *processes)
    begin, end, events = alert_interval(check_alerts(kafka, SUSPICIOUS_EVERY), SUSPICIOUS_EVERY)
    return events / (end - begin), sum(process.cpu_s(begin, end) for process in processes) / events * 1e6
