"""The demo: a real broker, a real model, the daemon as users run it, real events, and the books at the end."""

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
from detector.local.guarded import GuardedProcess
from detector.local.kafka_distribution import KAFKA_VERSION
from detector.local.ledger import Ledger, alert_latencies_s, reconcile
from detector.local.replay import Pace, replay
from detector.local.topics import GroupProgress, create_topics, read_topic
from detector.model.folder import CURRENT
from detector.service.scoring import Scorer
from detector.settings import KafkaSettings, ModelSettings, Settings
from detector.settings_sources import PREFIX
from detector.training.data import load_data
from detector.training.recipes import DEFAULT
from detector.training.train import publish, train

SAMPLE = Path(str(files("detector.local") / "sample" / "beth-train-head12500.csv"))
_PARTITIONS = 4
_READY_TIMEOUT_S = 60.0
_DRAIN_TIMEOUT_S = 120.0
_LOOK_EVERY_S = 0.1
_KEEP_RATE = 500.0


@dataclass(frozen=True)
class _Daemon:
    process: GuardedProcess
    url: str


def run_demo(settings: Settings, *, keep: bool, stopped: Callable[[], bool]) -> bool:
    """Run the demo and print what it sees.

    Args:
        settings: the model to use, when it is there already; everything about Kafka is the demo's own.
        keep: go on replaying, slowly, until `stopped`.
        stopped: asked now and then.

    Returns:
        Whether every event was accounted for.

    Raises:
        ModelError: the model that is there is refused.
    """
    console = Console(soft_wrap=True)
    if settings.model.path.exists():
        Scorer.load(settings.model)  # one that is refused need not wait for Kafka
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="detector-demo-")))
        broker = EmbeddedBroker()
        stack.callback(broker.stop)
        model = _prepare(console, settings.model, broker, folder)
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        # The broker stamps alerts as it takes them, so that the latencies are of one clock.
        create_topics(kafka, _PARTITIONS, {kafka.alerts_topic: {"message.timestamp.type": "LogAppendTime"}})
        daemon = stack.enter_context(_running_daemon(kafka, model, folder))
        console.print(f"Detector is ready: {daemon.url}/metrics")
        progress = GroupProgress(kafka)
        stack.callback(progress.close)
        started = time.monotonic()
        replay(kafka, [SAMPLE], stopped=stopped)
        _drain(progress, daemon)
        ledger = _summary(console, kafka, model, progress, time.monotonic() - started)
        if keep:
            console.print(f"Replaying on at {_KEEP_RATE:g} events/s; Ctrl-C ends. Kafka: {kafka.bootstrap_servers}")
            replay(kafka, [SAMPLE], pace=Pace(rate=_KEEP_RATE), loop=True, stopped=stopped)
            _drain(progress, daemon)
            ledger = _books(kafka, model, progress)
    sys.stdout.write(f"{ledger.line()}\n")
    return ledger.complete


def _prepare(console: Console, model: ModelSettings, broker: EmbeddedBroker, folder: Path) -> ModelSettings:
    """Start the broker, and meanwhile train a model when there is none."""
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(broker.start)
        if model.path.exists():
            console.print(f"Using the model in {model.path}")
        else:
            console.print(
                f"No model in {model.path} yet: training one on the bundled sample of BETH, 12,500 real events"
            )
            trained = train(DEFAULT, load_data(SAMPLE, seed=0), folder / "models", seed=0)
            publish(trained)
            model = model.model_copy(update={"path": folder / "models" / CURRENT})
            console.print(f"Trained in {time.monotonic() - started:.1f} s")
        with console.status(f"Waiting for Apache Kafka {KAFKA_VERSION} (the first time it is downloaded, 45 MB)"):
            starting.result()
    console.print(f"Apache Kafka {KAFKA_VERSION} serves on {broker.bootstrap_servers}")
    return model


@contextmanager
def _running_daemon(kafka: KafkaSettings, model: ModelSettings, folder: Path) -> Iterator[_Daemon]:
    """`detector run` in a process of its own, from ready to stopped."""
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
    # Neither the user's variables nor a .env of theirs: they are about another Kafka.
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
        said = {line["body"]: line for line in lines}
        if "partitions assigned" in said:
            return str(said["detector starts"]["http"]).removesuffix("/metrics")
        _check(process)
        if time.monotonic() > deadline:
            raise DetectorError(f"the detector was not ready within {_READY_TIMEOUT_S:g} s:\n{process.log_tail()}")
        time.sleep(_LOOK_EVERY_S)


def _drain(progress: GroupProgress, daemon: _Daemon) -> None:
    deadline = time.monotonic() + _DRAIN_TIMEOUT_S
    while progress.behind():
        _check(daemon.process)
        if time.monotonic() > deadline:
            return  # the books will show what is missing
        time.sleep(_LOOK_EVERY_S)


def _check(process: GuardedProcess) -> None:
    if not process.is_running():
        raise DetectorError(f"the detector ended:\n{process.log_tail()}")


def _books(kafka: KafkaSettings, model: ModelSettings, progress: GroupProgress) -> Ledger:
    events, alerts, dead_letters = (
        read_topic(kafka, topic) for topic in (kafka.events_topic, kafka.alerts_topic, kafka.dead_letter_topic)
    )
    return reconcile(events, alerts, dead_letters, progress.committed(), Scorer.load(model))


def _summary(
    console: Console, kafka: KafkaSettings, model: ModelSettings, progress: GroupProgress, elapsed_s: float
) -> Ledger:
    ledger = _books(kafka, model, progress)
    alerts = read_topic(kafka, kafka.alerts_topic)
    table = Table(title="What came of the events", show_header=False)
    hits = int((ledger.verdicts & (ledger.labels == 1)).sum())
    rows = {
        "events in": f"{ledger.events:,}",
        "scored": f"{ledger.scored:,}",
        "dead-lettered": f"{ledger.dead_lettered:,}",
        "alerts": f"{ledger.alerts:,}",
        "precision, against the labels": _share(hits, int(ledger.verdicts.sum())),
        "recall, against the labels": _share(hits, int(ledger.labels.sum())),
        "events/s": f"{ledger.events / elapsed_s:,.0f}",
        "record to alert, p50": "",
        "record to alert, p99": "",
        "ledger": "every event accounted for"
        if ledger.complete
        else f"{ledger.lost} events LOST, {ledger.unexpected} outputs unexpected",
    }
    if alerts:
        p50, p99 = np.percentile(alert_latencies_s(alerts) * 1000, [50, 99])
        rows |= {"record to alert, p50": f"{p50:.0f} ms", "record to alert, p99": f"{p99:.0f} ms"}
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)
    return ledger


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.4f}" if whole else "none"
