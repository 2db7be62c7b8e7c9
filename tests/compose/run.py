"""Brings the real compose file up on the engine here: cold, again, three instances, down. `make compose-test`."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.queries import RARE, ROOT, Prometheus, dashboard_queries

COMPOSE = shlex.split(os.environ.get("COMPOSE", "docker compose"))
DOCKER = shlex.split(os.environ.get("DOCKER", "docker"))
PROJECT = "detector-compose-test"
DEADLINE_S = 240.0
FIRST_ALERT_S, FIRST_DATA_S, SECOND_UP_S = 60, 90, 40
"""What is wanted on a quiet machine; on a busy one it is told and not held against the stack."""
INSTANCES = 3


class Failed(Exception):  # noqa: N818 - it is the verdict
    """The stack does not do what it should."""


def say(text: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def engine_answers() -> bool:
    """Whether there are an engine and Compose."""
    try:
        for command in ([*DOCKER, "info"], [*COMPOSE, "version"]):
            subprocess.run(command, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


class Stack:
    """The project under a name of its own, on ports that are free."""

    def __init__(self) -> None:
        names = ("KAFKA_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")
        with _free_ports(len(names)) as ports:
            self.ports = dict(zip(names, ports, strict=True))
        self._environment = os.environ | {name: str(port) for name, port in self.ports.items()}
        self.prometheus = Prometheus(f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}")
        # The way that Grafana's panels go.
        grafana = f"http://127.0.0.1:{self.ports['GRAFANA_PORT']}"
        self.panels = Prometheus(f"{grafana}/api/datasources/proxy/uid/prometheus")

    def compose(self, *arguments: str, timeout_s: float = 2 * DEADLINE_S) -> str:
        """Run a command of Compose; what it printed on standard output."""
        done = subprocess.run(
            [*COMPOSE, "-p", PROJECT, *arguments],
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
        inspected = subprocess.run([*DOCKER, "inspect", *ids], capture_output=True, text=True, timeout=60, check=True)
        found: list[dict[str, Any]] = json.loads(inspected.stdout)
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


def wait(what: str, condition: Callable[[], Any], started: float, wanted_s: float | None = None) -> None:
    """Wait for a condition, and tell how long after `started` it came true."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"not within {DEADLINE_S:g} s: {what}")
        time.sleep(0.5)
    took = time.monotonic() - started
    verdict = "" if wanted_s is None else f", wanted {wanted_s:g} s: {'yes' if took <= wanted_s else 'NO'}"
    say(f"{what}: {took:.0f} s{verdict}")


def cold(stack: Stack) -> None:
    """Nothing is there but images; ends when alerts and every panel are."""
    started = time.monotonic()
    stack.compose("up", "-d", "--no-build")
    wait("cold: first alert", stack.has_alerts, started, FIRST_ALERT_S)
    on_topic = stack.compose("exec", "-T", "kafka", "bash", "-c", _FIRST_ALERT)
    if json.loads(on_topic)["schema"] != "detector.alert/1":
        raise Failed(f"the first record of process-alerts is no alert: {on_topic}")
    silent = stack.silent_panels()
    wait("cold: data in every panel", lambda: not silent or not silent_again(silent, stack), started, FIRST_DATA_S)
    hardened(stack)


_FIRST_ALERT = (
    "/opt/kafka/bin/kafka-console-consumer.sh --bootstrap-server kafka:19092 --topic process-alerts"
    " --from-beginning --max-messages 1 --timeout-ms 20000 2>/dev/null"
)


def silent_again(silent: list[str], stack: Stack) -> list[str]:
    """Look again, into the same list."""
    silent[:] = stack.silent_panels()
    return silent


def hardened(stack: Stack) -> None:
    """Every container is as restricted as the file says, and reachable from this machine only."""
    for service in ("kafka", "detector", "replay", "prometheus", "alertmanager", "grafana"):
        for container in stack.containers(service):
            host = container["HostConfig"]
            addresses = {binding["HostIp"] for ports in host["PortBindings"].values() for binding in ports}
            good = (
                host["ReadonlyRootfs"]
                and host["CapDrop"] == ["ALL"]
                and any("no-new-privileges" in option for option in host["SecurityOpt"])
                and host["Memory"] > 0
                and addresses <= {"127.0.0.1"}
            )
            if not good:
                raise Failed(f"{service} is not restricted: {host}")
    for service in ("detector", "replay"):
        for container in stack.containers(service):
            if not container["Config"]["User"].replace(":", "").isdigit():
                raise Failed(f"{service} runs as {container['Config']['User'] or 'root'}")
    say("restricted: read-only, no capabilities, no new privileges, memory limited, 127.0.0.1 only")


def again(stack: Stack) -> None:
    """Down with the data kept, and up: the model and the topics are there, and the group goes on."""
    stack.compose("down")
    started = time.monotonic()
    stack.compose("up", "-d", "--no-build")
    wait("again: first alert", stack.has_alerts, started, SECOND_UP_S)
    if "there is a model already" not in stack.compose("logs", "train"):
        raise Failed("the second start trained another model")
    ids = stack.compose("ps", "-q")
    stack.compose("up", "-d", "--no-build")
    if set(stack.compose("ps", "-q").split()) - set(ids.split()):
        raise Failed("an up of what is up made containers anew")


def scaled(stack: Stack) -> None:
    """Three instances, found by Prometheus, share the partitions."""
    started = time.monotonic()
    stack.compose("up", "-d", "--no-build", "--scale", f"detector={INSTANCES}")

    def shared() -> bool:
        up = stack.prometheus.values('up{job="detector"} == 1')
        partitions = stack.prometheus.values("detector_assigned_partitions")
        return len(up) == INSTANCES and len(partitions) == INSTANCES and min(partitions) > 0

    wait(f"scaled: {INSTANCES} instances known to Prometheus, each with partitions", shared, started)
    for container in stack.containers("detector"):
        if container["RestartCount"]:
            raise Failed(f"an instance was restarted {container['RestartCount']} times")


def down(stack: Stack) -> None:
    """Stopped by signals, in time, and nothing left."""
    started = time.monotonic()
    instances = [container["Id"] for container in stack.containers("detector")]
    stack.compose("stop", "detector")
    inspected = subprocess.run([*DOCKER, "inspect", *instances], capture_output=True, text=True, timeout=60, check=True)
    codes = [container["State"]["ExitCode"] for container in json.loads(inspected.stdout)]
    if any(codes):
        raise Failed(f"instances ended with {codes}, not 0")
    stack.compose("down", "-v")
    label = f"label=com.docker.compose.project={PROJECT}"
    for kind in (["ps", "-aq"], ["volume", "ls", "-q"], ["network", "ls", "-q"]):
        left = subprocess.run(
            [*DOCKER, *kind, "--filter", label], capture_output=True, text=True, timeout=60, check=True
        ).stdout.split()
        if left:
            raise Failed(f"left after down -v: {kind[0]} {left}")
    say(f"down: {time.monotonic() - started:.0f} s, instances ended with 0, nothing left")


def main() -> int:
    """All of it; the exit code."""
    if not engine_answers():
        say(f"skipped: no engine answers {shlex.join(COMPOSE)!r}; COMPOSE and DOCKER name other commands")
        return 0
    stack = Stack()
    try:
        stack.compose("down", "-v")
        started = time.monotonic()
        stack.compose("build", timeout_s=3600)
        say(f"images built: {time.monotonic() - started:.0f} s")
        for step in (cold, again, scaled, down):
            step(stack)
    except Failed as failure:
        say(f"FAILED {failure}")
        for service in ("kafka", "topics", "train", "detector", "replay"):
            say(stack.compose("logs", "--tail", "15", service))
        return 1
    finally:
        stack.compose("down", "-v")
    say("compose-test passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
