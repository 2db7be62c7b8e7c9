"""Runs the compose files of this repository on the local container engine, under a project name of their own."""

import json
import os
import shlex
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.queries import OFTEN_EMPTY, ROOT, Prometheus, dashboard_queries

COMPOSE = shlex.split(os.environ.get("COMPOSE", "docker compose"))
DOCKER = shlex.split(os.environ.get("DOCKER", "docker"))
PROJECT = "detector-compose-test"
COMMAND_TIMEOUT_S = 480.0


class Failed(Exception):  # noqa: N818 - the result of a check, not a programming error
    """The stack does not do what it should; the message is the result that the user reads."""


def engine_answers() -> bool:
    """Whether a container engine responds and Compose is installed."""
    try:
        for command in ([*DOCKER, "info"], [*COMPOSE, "version"]):
            subprocess.run(command, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def engine(*arguments: str) -> str:
    """Run a command of the container engine and return its standard output.

    Raises:
        Failed: the exit code is not 0.
    """
    done = subprocess.run([*DOCKER, *arguments], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Failed(f"docker {shlex.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


class Stack:
    """The compose project `PROJECT`, on free ports.

    Args:
        files: the compose files; a file overrides those before it.
        variables: values for the variables of the compose files.
    """

    def __init__(self, *files: str, **variables: str) -> None:
        self._files = [part for file in files for part in ("-f", file)]
        names = ("KAFKA_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")
        with _free_ports(len(names)) as ports:
            self.ports = dict(zip(names, ports, strict=True))
        self._environment = os.environ | variables | {name: str(port) for name, port in self.ports.items()}
        self.prometheus = Prometheus(f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}")
        # The same path that the panels of Grafana take to Prometheus.
        grafana = f"http://127.0.0.1:{self.ports['GRAFANA_PORT']}"
        self.panels = Prometheus(f"{grafana}/api/datasources/proxy/uid/prometheus")

    def compose(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run a command of Compose and return its standard output.

        Raises:
            Failed: the exit code is not 0.
        """
        done = subprocess.run(
            [*COMPOSE, "-p", PROJECT, *self._files, *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            raise Failed(f"compose {shlex.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def containers(self, service: str) -> list[dict[str, Any]]:
        """The engine's `inspect` output for each container of a service."""
        ids = self.compose("ps", "-q", service).split()
        if not ids:
            return []
        found: list[dict[str, Any]] = json.loads(engine("inspect", *ids))
        return found

    def metric(self, name: str) -> float:
        """The sum of a metric over all instances and labels, read from the instances; 0 if none is running."""
        total = 0.0
        for container in self.containers("detector"):
            for binding in container["NetworkSettings"]["Ports"].get("8000/tcp") or ():
                with urllib.request.urlopen(f"http://127.0.0.1:{binding['HostPort']}/metrics", timeout=10) as page:
                    families = text_string_to_metric_families(page.read().decode())
                    samples = [sample for family in families for sample in family.samples]
                    total += sum(sample.value for sample in samples if sample.name == name)
        return total

    def has_alerts(self) -> bool:
        """Whether an alert was acknowledged since the instances started."""
        try:
            return self.metric("detector_alerts_total") > 0
        except OSError:
            return False

    def empty_panels(self) -> list[str]:
        """The names of the panels that show no data."""
        try:
            return [
                query.name
                for query in dashboard_queries()
                if query.name not in OFTEN_EMPTY and not self.panels.values(query.runnable("40s"))
            ]
        except OSError as error:
            return [f"Grafana: {error}"]


@contextmanager
def _free_ports(number: int) -> Iterator[list[int]]:
    """Different free ports; all of them are taken until the end of the block, so that none is returned twice."""
    with ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        yield [taken.getsockname()[1] for taken in sockets]
