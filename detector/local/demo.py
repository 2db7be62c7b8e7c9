"""The demo: runs a real broker, model and daemon on real events, and checks that every event is accounted for."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from detector.errors import DetectorError
from detector.local.broker import EmbeddedBroker
from detector.local.guarded_process import GuardedProcess
from detector.local.kafka_distribution import KAFKA_VERSION
from detector.local.reconciliation import Reconciliation, alert_latencies_s, reconcile
from detector.local.replay import Pace, replay
from detector.model.folder import CURRENT
from detector.process.log_events import PARTITIONS_ASSIGNED, SERVICE_STARTING
from detector.service.scoring import Scorer
from detector.settings import KafkaSettings, ModelSettings, Settings
from detector.settings.variables import PREFIX
from detector.stream.admin.groups import GroupProgress
from detector.stream.admin.topics import create_topics, read_topic
from detector.training.data import load_data
from detector.training.recipes import DEFAULT
from detector.training.train import publish, train

SAMPLE = Path(str(files("detector.local") / "sample" / "beth-train-head12500.csv"))
_PARTITIONS = 4
_READY_TIMEOUT_S = 60.0
_DRAIN_TIMEOUT_S = 120.0
_CHECK_EVERY_S = 0.1
_KEEP_RATE = 500.0


@dataclass(frozen=True)
class _Daemon:
    process: GuardedProcess
    url: str


def run_demo(settings: Settings, *, keep: bool, stopped: Callable[[], bool]) -> bool:
    """Run the demo and print its results.

    Args:
        settings: the model to use, if it exists; the Kafka settings are the demo's own.
        keep: continue to replay, slowly, until `stopped`.
        stopped: called regularly; returns whether to stop.

    Returns:
        Whether every event was accounted for.

    Raises:
        ModelError: the existing model is invalid.
    """
    console = Console(soft_wrap=True)
    if settings.model.path.exists():
        Scorer.load(settings.model)  # an invalid model is an error before Kafka starts
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="detector-demo-")))
        broker = EmbeddedBroker()
        stack.callback(broker.stop)
        model = _prepare(console, settings.model, broker, folder)
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        # The broker sets the timestamps of alerts, so that latencies do not depend on two clocks.
        create_topics(kafka, _PARTITIONS, {kafka.alerts_topic: {"message.timestamp.type": "LogAppendTime"}})
        daemon = stack.enter_context(_running_daemon(kafka, model, folder))
        console.print(f"Detector is ready: {daemon.url}/metrics")
        progress = GroupProgress(kafka)
        stack.callback(progress.close)
        started = time.monotonic()
        replay(kafka, [SAMPLE], stopped=stopped)
        _drain(progress, daemon)
        result = _summary(console, kafka, model, progress, time.monotonic() - started)
        if keep:
            console.print(
                f"Still replaying at {_KEEP_RATE:g} events/s; press Ctrl-C to stop. Kafka: {kafka.bootstrap_servers}"
            )
            replay(kafka, [SAMPLE], pace=Pace(rate=_KEEP_RATE), loop=True, stopped=stopped)
            _drain(progress, daemon)
            result = _reconcile(kafka, model, progress)
    sys.stdout.write(f"{result.line()}\n")
    return result.complete


def _prepare(console: Console, model: ModelSettings, broker: EmbeddedBroker, folder: Path) -> ModelSettings:
    """Start the broker, and meanwhile train a model if there is none."""
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(broker.start)
        if model.path.exists():
            console.print(f"Using the model in {model.path}")
        else:
            console.print(
                f"No model in {model.path} yet; training one on the bundled BETH sample of 12,500 real events"
            )
            trained = train(DEFAULT, load_data(SAMPLE, seed=0), folder / "models", seed=0)
            publish(trained)
            model = model.model_copy(update={"path": folder / "models" / CURRENT})
            console.print(f"Trained in {time.monotonic() - started:.1f} s")
        with console.status(f"Waiting for Apache Kafka {KAFKA_VERSION} (the first time it is downloaded, 45 MB)"):
            starting.result()
    console.print(f"Apache Kafka {KAFKA_VERSION} is running on {broker.bootstrap_servers}")
    return model


@contextmanager
def _running_daemon(kafka: KafkaSettings, model: ModelSettings, folder: Path) -> Iterator[_Daemon]:
    """`detector run` in its own process: ready when the block starts, stopped at its end."""
    values = {
        "kafka.bootstrap_servers": kafka.bootstrap_servers,
        "kafka.security_protocol": kafka.security_protocol,
        "kafka.events_topic": kafka.events_topic,
        "kafka.alerts_topic": kafka.alerts_topic,
        "kafka.dead_letter_topic": kafka.dead_letter_topic,
        "kafka.group_id": kafka.group_id,
        "model.path": str(model.path.absolute()),
        "model.engine": model.engine,
        **({} if model.threshold is None else {"model.threshold": str(model.threshold)}),
        "http.port": "0",
        "log.format": "json",
    }
    options = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    # Without the user's environment variables and .env file, which are for another Kafka.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    process = GuardedProcess(
        [sys.executable, "-m", "detector", *options, "run"],
        folder / "detector.log",
        environment=environment,
        folder=folder,
    )
    try:
        url = _wait_until_ready(process)
        yield _Daemon(process, url)
    finally:
        process.stop(timeout_s=30)


def _wait_until_ready(process: GuardedProcess) -> str:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while True:
        lines = [json.loads(line) for line in process.log().splitlines() if line.startswith("{") and line.endswith("}")]
        by_event = {line["event"]: line for line in lines}
        if PARTITIONS_ASSIGNED.name in by_event:
            return str(by_event[SERVICE_STARTING.name]["http"]).removesuffix("/metrics")
        _check(process)
        if time.monotonic() > deadline:
            raise DetectorError(
                f"the detector was not ready within {_READY_TIMEOUT_S:g} s; its log ends:\n{process.log_tail()}"
            )
        time.sleep(_CHECK_EVERY_S)


def _drain(progress: GroupProgress, daemon: _Daemon) -> None:
    deadline = time.monotonic() + _DRAIN_TIMEOUT_S
    while progress.lag():
        _check(daemon.process)
        if time.monotonic() > deadline:
            return  # the reconciliation shows which events are missing
        time.sleep(_CHECK_EVERY_S)


def _check(process: GuardedProcess) -> None:
    if not process.is_running():
        raise DetectorError(f"the detector exited unexpectedly; its log ends:\n{process.log_tail()}")


def _reconcile(kafka: KafkaSettings, model: ModelSettings, progress: GroupProgress) -> Reconciliation:
    events, alerts, dead_letters = (
        read_topic(kafka, topic) for topic in (kafka.events_topic, kafka.alerts_topic, kafka.dead_letter_topic)
    )
    return reconcile(events, alerts, dead_letters, progress.committed(), Scorer.load(model))


def _summary(
    console: Console, kafka: KafkaSettings, model: ModelSettings, progress: GroupProgress, elapsed_s: float
) -> Reconciliation:
    result = _reconcile(kafka, model, progress)
    alerts = read_topic(kafka, kafka.alerts_topic)
    table = Table(title="Results", show_header=False)
    hits = int((result.alerted & (result.labels == 1)).sum())
    rows = {
        "events read": f"{result.events:,}",
        "events scored": f"{result.scored:,}",
        "dead letters": f"{result.dead_lettered:,}",
        "alerts": f"{result.alerts:,}",
        "precision (against the labels)": _share(hits, int(result.alerted.sum())),
        "recall (against the labels)": _share(hits, int(result.labels.sum())),
        "events/s": f"{result.events / elapsed_s:,.0f}",
        "event to alert, p50": "",
        "event to alert, p99": "",
        "accounting": "every event accounted for"
        if result.complete
        else f"{result.lost} events LOST, {result.unexpected} unexpected outputs",
    }
    if alerts:
        p50, p99 = np.percentile(alert_latencies_s(alerts) * 1000, [50, 99])
        rows |= {"event to alert, p50": f"{p50:.0f} ms", "event to alert, p99": f"{p99:.0f} ms"}
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)
    return result


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.4f}" if whole else "none"
