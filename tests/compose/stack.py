"""The project's compose file on the engine here, under a name of its own."""

import json
import os
import shlex
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.queries import RARE, ROOT, Prometheus, dashboard_queries

COMPOSE = shlex.split(os.environ.get("COMPOSE", "docker compose"))
DOCKER = shlex.split(os.environ.get("DOCKER", "docker"))
PROJECT = "detector-compose-test"
COMMAND_TIMEOUT_S = 480.0


class Failed(Exception):  # noqa: N818 - it is the verdict
    """The stack does not do what it should."""


def engine_answers() -> bool:
    """Whether there are an engine and Compose."""
    try:
        for command in ([*DOCKER, "info"], [*COMPOSE, "version"]):
            subprocess.run(command, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def engine(*arguments: str) -> str:
    """Run a command of the engine; what it printed."""
    done = subprocess.run([*DOCKER, *arguments], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Failed(f"docker {shlex.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


class Stack:
    """The project under a name of its own, on ports that are free.

    Args:
        files: the compose files, an override behind what it overrides.
        variables: of the compose files.
    """

    def __init__(self, *files: str, **variables: str) -> None:
        self._files = [part for file in files for part in ("-f", file)]
        names = ("KAFKA_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")
        with _free_ports(len(names)) as ports:
            self.ports = dict(zip(names, ports, strict=True))
        self._environment = os.environ | variables | {name: str(port) for name, port in self.ports.items()}
        self.prometheus = Prometheus(f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}")
        # The way that Grafana's panels go.
        grafana = f"http://127.0.0.1:{self.ports['GRAFANA_PORT']}"
        self.panels = Prometheus(f"{grafana}/api/datasources/proxy/uid/prometheus")

    def compose(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run a command of Compose; what it printed on standard output."""
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
        """What the engine says of the containers of a service."""
        ids = self.compose("ps", "-q", service).split()
        if not ids:
            return []
        found: list[dict[str, Any]] = json.loads(engine("inspect", *ids))
        return found

    def metric(self, name: str) -> float:
        """The sum over all instances and labels, from the instances themselves; 0 while none answers."""
        total = 0.0
        for container in self.containers("detector"):
            for binding in container["NetworkSettings"]["Ports"].get("8000/tcp") or ():
                with urllib.request.urlopen(f"http://127.0.0.1:{binding['HostPort']}/metrics", timeout=10) as page:
                    families = text_string_to_metric_families(page.read().decode())
                    total += sum(s.value for family in families for s in family.samples if s.name == name)
        return total

    def has_alerts(self) -> bool:
        """Whether an alert was acknowledged since the instances started."""
        try:
            return self.metric("detector_alerts_total") > 0
        except OSError:
            return False

    def silent_panels(self) -> list[str]:
        """The panels that have nothing to show."""
        try:
            return [
                query.place
                for query in dashboard_queries()
                if query.place not in RARE and not self.panels.values(query.runnable("40s"))
            ]
        except OSError as error:
            return [f"Grafana: {error}"]


@contextmanager
def _free_ports(number: int) -> Iterator[list[int]]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        yield [taken.getsockname()[1] for taken in sockets]
    finally:
        for taken in sockets:
            taken.close()
