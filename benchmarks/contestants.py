"""Who is measured: the bare poll loops, the daemon in each of its forms, the peers."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

from benchmarks.peers.environments import peer_python, requirement_version

CLIENTS = ("kafka-python", "librdkafka")
ENGINES = ("torch", "numpy")
GUARANTEES = ("at-least-once", "exactly-once")


@dataclass(frozen=True)
class Contestant:
    """A command that reads the events topic, and, unless it is a bare loop, does the job.

    All are told where and what in the daemon's own environment variables.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    bare: bool = False
    commits_what_it_read: bool = False
    """Not what it delivered: its commits run ahead of its alerts."""


def bare(client: str) -> Contestant:
    """The bare poll loop of a client library."""
    return Contestant(f"bare {client}", (sys.executable, "-m", "benchmarks.bare", client), bare=True)


def detector(
    client: str = "kafka-python",
    engine: str = "torch",
    guarantee: str = "at-least-once",
    name: str | None = None,
    **environment: str,
) -> Contestant:
    """The daemon, as `detector run` starts it."""
    return Contestant(
        name or f"detector {client} {engine} {guarantee}",
        (sys.executable, "-m", "detector", "run"),
        {
            "DETECTOR_KAFKA__CLIENT": client,
            "DETECTOR_MODEL__ENGINE": engine,
            "DETECTOR_DELIVERY__GUARANTEE": guarantee,
            "DETECTOR_BATCH__MAX_RECORDS": "",  # its own default, which depends on the guarantee
            "DETECTOR_LOG__LEVEL": "warning",
            **environment,
        },
    )


@dataclass(frozen=True)
class Peer:
    """What stands in benchmarks/peers, and how its documentation starts it."""

    name: str
    requirements: str
    package: str
    arguments: tuple[str, ...]
    commits_what_it_read: bool = False

    def contestant(self) -> Contestant:
        """Ready to run.

        Raises:
            NotInstallableError: its environment could not be made.
        """
        command = (str(peer_python(self.requirements)), *self.arguments)
        return Contestant(self.name, command, commits_what_it_read=self.commits_what_it_read)

    @property
    def version(self) -> str:
        """Of the package that it is about."""
        return requirement_version(self.requirements, self.package)


_FAUST_APP = ("-m", "faust", "--loop", "uvloop", "-A", "benchmarks.peers.faust_app")
PEERS = (
    Peer("notebook loop", "notebook", "kafka-python", ("-m", "benchmarks.peers.notebook")),
    Peer(
        "Bytewax",
        "bytewax",
        "bytewax",
        ("-m", "bytewax.run", "benchmarks.peers.bytewax_flow"),
        commits_what_it_read=True,
    ),
    Peer("Quix Streams", "quix", "quixstreams", ("-m", "benchmarks.peers.quix_dataframe")),
    Peer("Quix Streams, batching sink", "quix", "quixstreams", ("-m", "benchmarks.peers.quix_sink")),
    Peer("Faust-streaming", "faust", "faust-streaming", (*_FAUST_APP, "worker", "-l", "error", "--without-web")),
)


def ours() -> list[Contestant]:
    """The bare loops and every form of the daemon."""
    forms = product(CLIENTS, ENGINES, GUARANTEES)
    return [*map(bare, CLIENTS), *(detector(*form) for form in forms)]
