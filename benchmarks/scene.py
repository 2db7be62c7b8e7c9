"""What every measurement needs: a broker, a model, and topics full of events."""

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
from detector.local.topics import create_topics
from detector.model.folder import CURRENT
from detector.service.scoring import Scorer
from detector.settings import KafkaSettings, ModelSettings
from detector.stream.kafka_options import connection_options
from detector.training.data import load_data
from detector.training.recipes import DEFAULT
from detector.training.train import publish, train

SUSPICIOUS_EVERY = 100
"""One event in so many is suspicious, unless a measurement is about that share: 1 %."""
_TLS = "TLS"
_HEAP_MB = 1024
"""As Kafka's own scripts have it; with half of it the collector works on the load every second."""


@dataclass(frozen=True)
class Backlog:
    """A topic of events: at every `every`th offset a suspicious one."""

    topic: str
    total: int
    every: int


@dataclass
class Scene:
    """The broker, the model and the folder of one benchmark."""

    broker: EmbeddedBroker
    folder: Path
    model: Path
    authority: Path
    scorer: Scorer
    _pools: dict[int, list[bytes]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def pool(self, every: int = SUSPICIOUS_EVERY) -> list[bytes]:
        """The values of events, of which one in `every` is suspicious."""
        if every not in self._pools:
            self._pools[every] = event_pool(self.scorer, every)
        return self._pools[every]

    def backlog(self, total: int, every: int = SUSPICIOUS_EVERY, codec: str = "none") -> Backlog:
        """A new topic with so many events, in whole rounds over partitions and suspicious ones."""
        total -= total % (PARTITIONS * every)
        topic = self.new_kafka().events_topic
        produce(self.broker.bootstrap_servers, topic, self.pool(every), total, codec)
        return Backlog(topic, total, every)

    def new_kafka(self, events_topic: str | None = None) -> KafkaSettings:
        """Topics and a group that nobody has used; the events' may be an old one.

        The broker stamps alerts as they arrive: its clock is the same for whoever is measured.
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
    def passing_kafka(self) -> Iterator[KafkaSettings]:
        """The same, deleted at the end: the events of a steady load are gigabytes, and those of a run filled a disk."""
        kafka = self.new_kafka()
        try:
            yield kafka
        finally:
            with closing(KafkaAdminClient(**connection_options(kafka))) as admin:
                admin.delete_topics([kafka.events_topic, kafka.alerts_topic])

    @property
    def tls_servers(self) -> str:
        """The address where the broker speaks TLS."""
        return self.broker.address(_TLS)


@contextmanager
def scene(model: Path | None = None) -> Iterator[Scene]:
    """Start a broker; without a model, train the default one on the bundled sample."""
    with TemporaryDirectory(prefix="detector-bench-") as name:
        folder = Path(name)
        model = model.resolve() if model else _train(folder / "models")
        authority, store = write_certificates(folder)
        properties = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(store)}
        with EmbeddedBroker(properties=properties, listeners={_TLS: "SSL"}, heap_mb=_HEAP_MB) as broker:
            yield Scene(broker, folder, model, authority, Scorer.load(ModelSettings(path=model)))


def _train(models: Path) -> Path:
    publish(train(DEFAULT, load_data(SAMPLE, seed=0), models, seed=0))
    return models / CURRENT
