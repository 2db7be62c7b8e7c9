"""Tests the compose files on the local container engine: `make compose-test`.

First start, restart with data, training, rollback, the commands of the runbooks, three instances, shutdown, and TLS.
"""

import json
import os
import shlex
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from detector.local.demo import SAMPLE
from tests.compose.stack import COMPOSE, PROJECT, Failed, Stack, engine, engine_answers
from tests.helpers import wait_until

DEADLINE_S = 240.0
FIRST_ALERT_S, FIRST_DATA_S, SECOND_UP_S, SCRAPE_S = 60, 90, 40, 0.05
"""Targets for an idle machine. Missing one is printed, and fails the test only with STRICT=1."""
STRICT = os.environ.get("STRICT") == "1"
INSTANCES = 3
_POLL_INTERVAL_S = 0.5  # each poll runs one or two engine commands, which take CPU from the starting stack


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def wait(what: str, condition: Callable[[], Any], started: float, target_s: float | None = None) -> None:
    """Wait for a condition, and print how long after `started` it became true."""
    try:
        wait_until(condition, what, DEADLINE_S, _POLL_INTERVAL_S)
    except AssertionError as timeout:
        raise Failed(str(timeout)) from timeout
    report(what, time.monotonic() - started, target_s)


def report(what: str, took_s: float, target_s: float | None = None) -> None:
    """Print a duration, and whether it meets its target.

    Raises:
        Failed: with STRICT=1, the duration is longer than its target.
    """
    is_late = target_s is not None and took_s > target_s
    result = "" if target_s is None else f", target {target_s:g} s: {'MISSED' if is_late else 'met'}"
    say(f"{what}: {took_s:.3g} s{result}")
    if STRICT and is_late:
        raise Failed(f"{what}: {took_s:.3g} s, target {target_s:g} s")


def cold(stack: Stack) -> None:
    """First start, with nothing but images: alerts arrive, and every panel shows data."""
    started = time.monotonic()
    stack.compose("up", "-d", "--no-build")
    wait("cold: first alert", stack.has_alerts, started, FIRST_ALERT_S)
    on_topic = stack.compose("exec", "-T", "kafka", "bash", "-c", _FIRST_ALERT)
    if json.loads(on_topic)["schema"] != "detector.alert/1":
        raise Failed(f"the first record of process-alerts is not an alert: {on_topic}")
    wait("cold: data in every panel", lambda: not stack.empty_panels(), started, FIRST_DATA_S)
    (slowest,) = stack.prometheus.values('max(max_over_time(scrape_duration_seconds{job="detector"}[10m]))')
    report("cold: slowest scrape since the start", slowest, SCRAPE_S)
    hardened(stack)
    topics_as_documented(stack)
    image_as_documented(stack)
    if not stack.prometheus.get("alertmanagers")["activeAlertmanagers"]:
        raise Failed("Prometheus has no Alertmanager to send alerts to")


def topics_as_documented(stack: Stack) -> None:
    """The topics have the partitions, retention and record size of docs/how-to/run-in-production.md."""
    described = stack.compose("exec", "-T", "kafka", *_DESCRIBE)
    for topic, settings in _TOPICS.items():
        (line,) = [line for line in described.splitlines() if f"Topic: {topic}\t" in line and "PartitionCount" in line]
        for setting in ("PartitionCount: 4", *settings):
            if setting not in line:
                raise Failed(f"{topic} was created without {setting}: {line}")


def image_as_documented(stack: Stack) -> None:
    """The image has labels, a health check and its entrypoint, and no compilers, caches or tests."""
    (image,) = json.loads(engine("image", "inspect", stack.containers("detector")[0]["Image"]))
    config = image["Config"]
    labels = {
        f"org.opencontainers.image.{name}" for name in ("title", "description", "licenses", "version", "revision")
    }
    if not (
        labels <= config["Labels"].keys() and config["Healthcheck"]["Test"] and config["Entrypoint"] == ["detector"]
    ):
        raise Failed(f"the image lacks labels, a health check or its entrypoint: {config}")
    if found := stack.compose("exec", "-T", "detector", "sh", "-c", _FIND_UNWANTED).split():
        raise Failed(f"the image contains files that it should not: {found}")


_FIND_UNWANTED = (
    "for tool in cc gcc g++ make; do command -v $tool; done;"
    " find /opt /root /home -name '*.whl' -o -name .cache -o -type d -name tests 2>/dev/null; true"
)
_DAY_MS = 24 * 60 * 60 * 1000
_OF_OUTPUTS = ["max.message.bytes=12582912", f"retention.ms={30 * _DAY_MS}"]
_TOPICS = {
    "process-events": ["max.message.bytes=10485760", f"retention.ms={_DAY_MS}", f"retention.bytes={2**30}"],
    "process-alerts": _OF_OUTPUTS,
    "process-events-dead-letter": _OF_OUTPUTS,
}
_DESCRIBE = ("/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", "kafka:19092", "--describe")
_FIRST_ALERT = (
    "/opt/kafka/bin/kafka-console-consumer.sh --bootstrap-server kafka:19092 --topic process-alerts"
    " --from-beginning --max-messages 1 --timeout-ms 20000 2>/dev/null"
)


def hardened(stack: Stack) -> None:
    """Every container is as restricted as the compose file says, and its ports are on 127.0.0.1 only."""
    for service in ("kafka", "detector", "replay", "prometheus", "alertmanager", "grafana"):
        for container in stack.containers(service):
            host = container["HostConfig"]
            addresses = {binding["HostIp"] for ports in host["PortBindings"].values() for binding in ports}
            is_restricted = (
                host["ReadonlyRootfs"]
                and host["CapDrop"] == ["ALL"]
                and any("no-new-privileges" in option for option in host["SecurityOpt"])
                and host["Memory"] > 0
                and addresses <= {"127.0.0.1"}
            )
            if not is_restricted:
                raise Failed(f"{service} is not restricted: {host}")
    for service in ("detector", "replay"):
        for container in stack.containers(service):
            if not container["Config"]["User"].replace(":", "").isdigit():
                raise Failed(f"{service} runs as {container['Config']['User'] or 'root'}")
    say("restricted: read-only, no capabilities, no new privileges, memory limited, 127.0.0.1 only")


def again(stack: Stack) -> None:
    """`down` keeps the data: the next `up` reuses the model, and alerts arrive again."""
    stack.compose("down")
    started = time.monotonic()
    stack.compose("up", "-d", "--no-build")
    wait("again: first alert", stack.has_alerts, started, SECOND_UP_S)
    if "a model already exists" not in stack.compose("logs", "train"):
        raise Failed("the second start trained another model")
    ids = stack.compose("ps", "-q")
    stack.compose("up", "-d", "--no-build")
    if set(stack.compose("ps", "-q").split()) - set(ids.split()):
        raise Failed("`up` of a running stack recreated containers")


def retrained(stack: Stack) -> None:
    """With the commands of docs/how-to/run-in-production.md another model is trained and used."""
    wait("retrained: one model in use before", lambda: len(_versions(stack)) == 1, time.monotonic())
    before = _versions(stack)
    data = "/data/beth-train-head12500.csv"
    stack.compose(
        "run", "--rm", "--entrypoint", "python", "train", "/opt/detector/train.py", data, "--output", "/models"
    )
    wait("retrained: another model in use", lambda: _versions(stack) - before, time.monotonic())


def rolled_back(stack: Stack) -> None:
    """With the commands of docs/how-to/roll-back-a-model.md the previous model is used again, without a restart."""
    wait("rolled back: one model in use before", lambda: len(_versions(stack)) == 1, time.monotonic())
    (loaded,) = _versions(stack)
    folders = stack.compose("run", "--rm", "--entrypoint", "ls", "train", "/models").split()
    (previous,) = set(folders) - {loaded, "current"}
    start_times = [container["State"]["StartedAt"] for container in stack.containers("detector")]
    started = time.monotonic()
    stack.compose("run", "--rm", "--entrypoint", "ln", "train", "-sfn", previous, "/models/current")
    wait("rolled back: the previous model in use", lambda: _versions(stack) == {previous}, started)
    if [container["State"]["StartedAt"] for container in stack.containers("detector")] != start_times:
        raise Failed("an instance was restarted to load another model")


def inspected(stack: Stack) -> None:
    """The commands of the docs and the runbooks that inspect an instance work."""
    instance = f"http://{stack.compose('port', 'detector', '8000').strip()}"
    for endpoint in ("readyz", "healthz"):
        with urllib.request.urlopen(f"{instance}/{endpoint}", timeout=10) as response:
            if response.status != HTTPStatus.OK:
                raise Failed(f"{instance}/{endpoint}: {response.status}")
    if f"{PROJECT}-detector-1" not in stack.compose("ps", "-a", "detector"):
        raise Failed("`ps` does not show the instance")
    stack.compose("kill", "-s", "USR1", "detector")
    logs = "logs", "--no-log-prefix", "--tail", "50", "detector"
    wait("inspected: log level debug", lambda: '"DEBUG"' in stack.compose(*logs), time.monotonic())
    stack.compose("kill", "-s", "USR1", "detector")
    if "service_starting" not in stack.compose("logs", "--tail", "1000", "detector"):
        raise Failed("the log lines do not have the names of events that the runbooks search for")
    ids = stack.compose("ps", "-q", "detector")
    stack.compose("up", "-d", "--no-build", "detector")
    if stack.compose("ps", "-q", "detector") != ids:
        raise Failed("`up` of a running instance recreated it")


def _versions(stack: Stack) -> set[str]:
    # Prometheus returns a series for 5 minutes after an instance disappeared while Prometheus itself was down.
    fresh = "detector_model_info and time() - timestamp(detector_model_info) < 15"
    found = stack.prometheus.get("query", query=fresh)["result"]
    return {series["metric"]["version"] for series in found}


def scaled(stack: Stack) -> None:
    """Prometheus finds all three instances, and each of them has partitions."""
    started = time.monotonic()
    stack.compose("up", "-d", "--no-build", "--scale", f"detector={INSTANCES}")

    def shared() -> bool:
        up = stack.prometheus.values('up{job="detector"} == 1')
        partitions = stack.prometheus.values("detector_assigned_partitions")
        return len(up) == INSTANCES and len(partitions) == INSTANCES and min(partitions) > 0

    wait(f"scaled: {INSTANCES} instances in Prometheus, each with partitions", shared, started)
    for container in stack.containers("detector"):
        if container["RestartCount"]:
            raise Failed(f"an instance was restarted {container['RestartCount']} times")


def down(stack: Stack) -> None:
    """Instances stop with exit code 0, and `down -v` removes everything."""
    started = time.monotonic()
    instances = [container["Id"] for container in stack.containers("detector")]
    stack.compose("stop", "detector")
    codes = [container["State"]["ExitCode"] for container in json.loads(engine("inspect", *instances))]
    if any(codes):
        raise Failed(f"exit codes of the instances: {codes}, expected only 0")
    stack.compose("down", "-v")
    label = f"label=com.docker.compose.project={PROJECT}"
    for command in (["ps", "-aq"], ["volume", "ls", "-q"], ["network", "ls", "-q"]):
        left = engine(*command, "--filter", label).split()
        if left:
            raise Failed(f"left after down -v: {command[0]} {left}")
    say(f"down: {time.monotonic() - started:.0f} s, exit code 0 of every instance, nothing left")


def secured(stack: Stack) -> None:
    """With TLS and SASL alerts arrive, and the broker rejects plain text and a wrong password."""
    started = time.monotonic()
    stack.compose("up", "-d", "--no-build")
    wait("TLS: first alert", stack.has_alerts, started)
    check = "exec", "-T", "detector", "detector", "check", "--connect"
    if "SASL_SSL" not in stack.compose(*check):
        raise Failed("the detector does not connect with SASL_SSL")
    plain_text = ("-e", "DETECTOR_KAFKA__SECURITY_PROTOCOL=PLAINTEXT", "-e", "DETECTOR_KAFKA__SASL_MECHANISM=")
    wrong_password = ("-e", "DETECTOR_KAFKA__SASL_PLAIN_PASSWORD=wrong")
    for what, variables in (("plain text", plain_text), ("a wrong password", wrong_password)):
        command = (*variables, "detector", "detector", "check", "--connect")
        try:
            stack.compose("exec", "-T", *command)
        except Failed as rejected:
            say(f"TLS: rejected with {what}: {str(rejected).splitlines()[-1]}")
        else:
            raise Failed(f"the broker accepts a client with {what}")
    hardened(stack)


def beth_folder(folder: Path) -> str:
    """Fill a folder like an unpacked BETH dataset: the three splits, and a DNS log with other columns."""
    for split in ("training", "validation", "testing"):
        shutil.copy(SAMPLE, folder / f"labelled_{split}_data.csv")
    (folder / "labelled_2021may-ip-10-100-1-105-dns.csv").write_text("Timestamp,SourceIP,DestinationIP,DnsQuery\n")
    folder.chmod(0o755)  # the user in the container must be able to read it
    return str(folder)


def main() -> int:
    """Run all checks and return the exit code."""
    if not engine_answers():
        say(f"skipped: {shlex.join(COMPOSE)!r} does not work here; set COMPOSE and DOCKER to other commands")
        return 0
    with tempfile.TemporaryDirectory(prefix="beth-") as folder:
        plain = Stack("docker-compose.yml")
        tls = Stack("docker-compose.yml", "docker-compose.tls.yml", BETH_DATA=beth_folder(Path(folder)))
        return _run_checks(plain, tls)


def _run_checks(plain: Stack, tls: Stack) -> int:
    stack = plain
    try:
        tls.compose("down", "-v")  # removes what an earlier run left; the TLS stack has all resources of the plain one
        started = time.monotonic()
        plain.compose("build", timeout_s=3600)
        report("images built", time.monotonic() - started)
        for stack, step in (
            *((plain, step) for step in (cold, again, retrained, rolled_back, inspected, scaled, down)),
            *((tls, step) for step in (secured, down)),
        ):
            step(stack)
    except Failed as failure:
        say(f"FAILED {failure}")
        for service in ("kafka", "topics", "train", "detector", "replay"):
            say(stack.compose("logs", "--tail", "15", service))
        return 1
    finally:
        tls.compose("down", "-v")
    say("compose-test passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
