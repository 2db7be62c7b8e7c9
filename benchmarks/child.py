"""One measured process: reads a whole topic and prints what that took as a line of JSON.

`python -m benchmarks.child bare|daemon|imports CONFIG`, CONFIG a JSON object.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from detector.records import Partition
from detector.settings import (
    BatchSettings,
    DeliverySettings,
    Guarantee,
    HttpSettings,
    KafkaSettings,
    LogSettings,
    ModelSettings,
    Settings,
)
from detector.stream.interfaces import Batch, CommitDone, CommitError, Listener, Sink, Source, TransactionalSink

_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Clock:
    """From the first records to the last, with the memory half way and at the end."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._seen = 0
        self._started = self._cpu_started = 0.0
        self.result: dict[str, float] = {}

    def saw(self, records: int) -> None:
        if records and not self._seen:
            self._started, self._cpu_started = time.perf_counter(), time.process_time()
        half = self._total // 2
        if self._seen < half <= self._seen + records:
            self.result["rss_half"] = _rss()
        self._seen += records

    @property
    def complete(self) -> bool:
        return self._seen >= self._total

    def finish(self) -> None:
        self.result |= {
            "seconds": time.perf_counter() - self._started,
            "cpu_seconds": time.process_time() - self._cpu_started,
            "records": self._seen,
            "rss_end": _rss(),
        }


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _peak_rss() -> int:
    # Not ru_maxrss: a child starts with its parent's, and the parent has a model in memory.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def bare(config: Mapping[str, Any]) -> dict[str, float]:
    """The bare kafka-python poll loop: no decoding, no scoring, no output, no commit."""
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(
        config["topic"],
        bootstrap_servers=config["bootstrap_servers"],
        group_id=config["group"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    clock = _Clock(config["total"])
    while not clock.complete:
        polled = consumer.poll(timeout_ms=500, max_records=config["max_records"])
        clock.saw(sum(map(len, polled.values())))
    clock.finish()
    consumer.close()
    return clock.result


class _TimedSource:
    """Passes everything on; stops the daemon behind the commit of the last record.

    At-least-once, that is when the source hears of the commit; exactly-once, when the next batch is asked for.
    """

    def __init__(self, source: Source, clock: _Clock) -> None:
        self._source = source
        self._clock = clock
        self._commits = self._completed = False
        self.on_complete: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def poll(self, max_records: int, max_wait_s: float, idle_s: float) -> Batch:
        if self._clock.complete and not self._commits:
            self._complete()
        batch = self._source.poll(max_records, max_wait_s, idle_s)
        self._clock.saw(len(batch.records))
        return batch

    def commit(self, next_offsets: Mapping[Partition, int], on_done: CommitDone) -> None:
        self._commits = True

        def done(error: CommitError | None) -> None:
            on_done(error)
            if self._clock.complete:
                self._complete()

        self._source.commit(next_offsets, done)

    def _complete(self) -> None:
        if not self._completed:
            self._completed = True
            self._clock.finish()
            self.on_complete()


def daemon(config: Mapping[str, Any]) -> dict[str, float]:
    """The whole daemon, as `detector run` has it."""
    from detector.logs import configure_logging
    from detector.service.daemon import Daemon
    from detector.stream.connect import Wait, open_stream

    configure_logging("warning", "json")
    settings = Settings(
        kafka=KafkaSettings(
            bootstrap_servers=config["bootstrap_servers"],
            events_topic=config["topic"],
            alerts_topic=config["alerts_topic"],
            dead_letter_topic=config["dead_letter_topic"],
            group_id=config["group"],
        ),
        delivery=DeliverySettings(guarantee=config.get("guarantee", "at-least-once")),
        batch=BatchSettings(max_records=config["max_records"]),
        model=ModelSettings(path=Path(config["model"]), engine=config.get("engine", "torch")),
        http=HttpSettings(port=0),
        log=LogSettings(level="warning"),
    )
    clock = _Clock(config["total"])

    def timed(
        kafka: KafkaSettings, guarantee: Guarantee, listener: Listener, wait: Wait
    ) -> tuple[Source, Sink | TransactionalSink]:
        source, sink = open_stream(kafka, guarantee, listener, wait)
        timed_source = _TimedSource(source, clock)
        timed_source.on_complete = running.stop
        return timed_source, sink

    running = Daemon(settings, timed)
    running.run()
    value = running.metrics.value
    counted = {
        "scored": value("detector_records_scored_total"),
        "alerts": sum(value("detector_alerts_total", severity=s) for s in ("low", "medium", "high", "critical")),
    }
    stages = {
        f"{stage}_s": value("detector_stage_duration_seconds_sum", stage=stage)
        for stage in ("decode", "score", "deliver", "commit")
    }
    return clock.result | counted | stages


def imports(_config: Mapping[str, Any]) -> dict[str, float]:
    """A process that only imports what the daemon cannot do without."""
    import kafka  # noqa: F401
    import numpy as np  # noqa: F401
    import torch  # noqa: F401

    return {}


def main() -> None:
    """Measure and print."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    result = {"bare": bare, "daemon": daemon, "imports": imports}[sys.argv[1]](json.loads(sys.argv[2]))
    result["peak_rss"] = _peak_rss()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
