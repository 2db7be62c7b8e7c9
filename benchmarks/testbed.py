"""The testbed of every measurement: a broker, a model, and topics with events."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from kafka import KafkaAdminClient

from benchmarks.certificates import write_certificates
from benchmarks.events import PARTITIONS, event_pool, produce
from detector.local.broker import EmbeddedBroker
from detector.local.demo import SAMPLE
from detector.model.folder import CURRENT
from detector.service.scoring import Scorer
from detector.settings import KafkaSettings, ModelSettings
from detector.stream.admin.topics import create_topics
from detector.stream.kafka_python.options import connection_options
from detector.training.data import load_data
from detector.training.recipes import DEFAULT
from detector.training.train import publish, train

SUSPICIOUS_EVERY = 100
"""Every 100th event is suspicious, 1 %, except in measurements of that share."""
_TLS = "TLS"
_HEAP_MB = 1024
"""The heap size of Kafka's own scripts; with half of it, the broker collects garbage every second under load."""


@dataclass(frozen=True)
class Backlog:
    """A topic with events; every `every`th offset of a partition is suspicious."""

    topic: str
    total: int
    every: int


@dataclass
class Testbed:
    """The broker, the model and the working folder of a benchmark run."""

    broker: EmbeddedBroker
    folder: Path
    model: Path
    ca_file: Path
    scorer: Scorer
    _pools: dict[int, list[bytes]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def pool(self, every: int = SUSPICIOUS_EVERY) -> list[bytes]:
        """Values of events; every `every`th is suspicious."""
        if every not in self._pools:
            self._pools[every] = event_pool(self.scorer, every)
        return self._pools[every]

    def backlog(self, total: int, every: int = SUSPICIOUS_EVERY, codec: str = "none") -> Backlog:
        """A new topic with `total` events, rounded down to a multiple of `every` events per partition."""
        total -= total % (PARTITIONS * every)
        topic = self.new_topics().events_topic
        produce(self.broker.bootstrap_servers, topic, self.pool(every), total, codec)
        return Backlog(topic, total, every)

    def new_topics(self, events_topic: str | None = None) -> KafkaSettings:
        """Create topics with unused names, and settings with a new consumer group; the events topic may exist.

        The broker sets the timestamps of alerts when they arrive, so all systems are measured by the same clock.
        """
        number = next(self._numbers)
        kafka = KafkaSettings(
            bootstrap_servers=self.broker.bootstrap_servers,
            events_topic=events_topic or f"events-{number}",
            alerts_topic=f"alerts-{number}",
            group_id=f"group-{number}",
        )
        create_topics(kafka, PARTITIONS, {kafka.alerts_topic: {"message.timestamp.type": "LogAppendTime"}})
        return kafka

    @contextmanager
    def temporary_topics(self) -> Iterator[KafkaSettings]:
        """Like `new_topics`, but deletes the topics at the end: the gigabytes of all loads would fill the disk."""
        kafka = self.new_topics()
        try:
            yield kafka
        finally:
            with closing(KafkaAdminClient(**connection_options(kafka))) as admin:
                admin.delete_topics([kafka.events_topic, kafka.alerts_topic])

    @property
    def tls_bootstrap_servers(self) -> str:
        """The address of the broker's TLS listener."""
        return self.broker.address(_TLS)


@contextmanager
def running_testbed(model: Path | None = None) -> Iterator[Testbed]:
    """Start a broker; if no model is given, train the default recipe on the bundled sample."""
    with TemporaryDirectory(prefix="detector-bench-") as name:
        folder = Path(name)
        model = model.resolve() if model else _train(folder / "models")
        ca_file, key_store = write_certificates(folder)
        properties = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(key_store)}
        with EmbeddedBroker(properties=properties, listeners={_TLS: "SSL"}, heap_mb=_HEAP_MB) as broker:
            yield Testbed(broker, folder, model, ca_file, Scorer.load(ModelSettings(path=model)))


def _train(models: Path) -> Path:
    publish(train(DEFAULT, load_data(SAMPLE, seed=0), models, seed=0))
    return models / CURRENT
