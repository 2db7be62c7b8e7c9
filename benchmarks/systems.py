"""The systems under test: the bare poll loops, the daemon in each configuration, and the peers."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

from benchmarks.peers.environments import peer_python, requirement_version

CLIENTS = ("kafka-python", "librdkafka")
ENGINES = ("torch", "numpy")
GUARANTEES = ("at-least-once", "exactly-once")


@dataclass(frozen=True)
class System:
    """A system under test: a command that reads the events topic and, except for a bare poll loop, writes alerts.

    All systems get their settings in the daemon's environment variables.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    bare: bool = False
    commits_before_delivery: bool = False
    """Whether it commits offsets when it has read events, before their alerts are delivered."""


def bare(client: str) -> System:
    """The bare poll loop of a client library."""
    return System(f"bare {client}", (sys.executable, "-m", "benchmarks.bare", client), bare=True)


def detector(
    client: str = "kafka-python",
    engine: str = "torch",
    guarantee: str = "at-least-once",
    name: str | None = None,
    **environment: str,
) -> System:
    """The daemon, as started by `detector run`."""
    return System(
        name or f"detector {client} {engine} {guarantee}",
        (sys.executable, "-m", "detector", "run"),
        {
            "DETECTOR_KAFKA__CLIENT": client,
            "DETECTOR_MODEL__ENGINE": engine,
            "DETECTOR_DELIVERY__GUARANTEE": guarantee,
            "DETECTOR_BATCH__MAX_RECORDS": "",  # the daemon's default, which depends on the guarantee
            "DETECTOR_LOG__LEVEL": "warning",
            **environment,
        },
    )


@dataclass(frozen=True)
class Peer:
    """An alternative to the daemon, from benchmarks/peers, and the arguments that its documentation starts it with."""

    name: str
    requirements: str
    package: str
    arguments: tuple[str, ...]
    commits_before_delivery: bool = False

    def system(self) -> System:
        """The system under test, in the peer's own virtual environment.

        Raises:
            NotInstallableError: the virtual environment could not be created.
        """
        command = (str(peer_python(self.requirements)), *self.arguments)
        return System(self.name, command, commits_before_delivery=self.commits_before_delivery)

    @property
    def version(self) -> str:
        """The version of the peer's main package."""
        return requirement_version(self.requirements, self.package)


_FAUST_APP = ("-m", "faust", "--loop", "uvloop", "-A", "benchmarks.peers.faust_app")
PEERS = (
    Peer("notebook loop", "notebook", "kafka-python", ("-m", "benchmarks.peers.notebook")),
    Peer(
        "Bytewax",
        "bytewax",
        "bytewax",
        ("-m", "bytewax.run", "benchmarks.peers.bytewax_flow"),
        commits_before_delivery=True,
    ),
    Peer("Quix Streams", "quix", "quixstreams", ("-m", "benchmarks.peers.quix_dataframe")),
    Peer("Quix Streams, batching sink", "quix", "quixstreams", ("-m", "benchmarks.peers.quix_sink")),
    Peer("Faust-streaming", "faust", "faust-streaming", (*_FAUST_APP, "worker", "-l", "error", "--without-web")),
)


def poll_loops_and_daemons() -> list[System]:
    """The bare poll loop of each client, and the daemon in every configuration."""
    configurations = product(CLIENTS, ENGINES, GUARANTEES)
    return [*map(bare, CLIENTS), *(detector(*configuration) for configuration in configurations)]
