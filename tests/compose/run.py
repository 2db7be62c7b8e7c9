"""Brings the real compose file up on the engine here: cold, again, scaled, down, and with TLS. `make compose-test`."""

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
"""What is wanted on a quiet machine; on a busy one it is told, and held against the stack with STRICT=1 only."""
STRICT = os.environ.get("STRICT") == "1"
INSTANCES = 3
_LOOK_EVERY_S = 0.5  # each look is a command or two of the engine, on the processors that the stack starts on


def say(text: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def wait(what: str, condition: Callable[[], Any], started: float, wanted_s: float | None = None) -> None:
    """Wait for a condition, and tell how long after `started` it came true."""
    try:
        wait_until(condition, what, DEADLINE_S, _LOOK_EVERY_S)
    except AssertionError as late:
        raise Failed(str(late)) from late
    tell(what, time.monotonic() - started, wanted_s)


def tell(what: str, took_s: float, wanted_s: float | None = None) -> None:
    """A duration, and whether it is what is wanted."""
    is_late = wanted_s is not None and took_s > wanted_s
    verdict = "" if wanted_s is None else f", wanted {wanted_s:g} s: {'NO' if is_late else 'yes'}"
    say(f"{what}: {took_s:.3g} s{verdict}")
    if STRICT and is_late:
        raise Failed(f"{what}: {took_s:.3g} s are too long")


def cold(stack: Stack) -> None:
    """Nothing is there but images; ends when alerts and every panel are."""
    started = time.monotonic()
    stack.compose("up", "-d", "--no-build")
    wait("cold: first alert", stack.has_alerts, started, FIRST_ALERT_S)
    on_topic = stack.compose("exec", "-T", "kafka", "bash", "-c", _FIRST_ALERT)
    if json.loads(on_topic)["schema"] != "detector.alert/1":
        raise Failed(f"the first record of process-alerts is no alert: {on_topic}")
    wait("cold: data in every panel", lambda: not stack.silent_panels(), started, FIRST_DATA_S)
    (slowest,) = stack.prometheus.values('max(max_over_time(scrape_duration_seconds{job="detector"}[10m]))')
    tell("cold: slowest scrape since the start", slowest, SCRAPE_S)
    hardened(stack)
    topics_as_documented(stack)
    image_as_documented(stack)
    if not stack.prometheus.get("alertmanagers")["activeAlertmanagers"]:
        raise Failed("Prometheus knows no Alertmanager to send its alerts to")


def topics_as_documented(stack: Stack) -> None:
    """The partitions and the retention that docs/deploy.md says."""
    described = stack.compose("exec", "-T", "kafka", *_DESCRIBE)
    for topic, settings in _TOPICS.items():
        (line,) = [line for line in described.splitlines() if f"Topic: {topic}\t" in line and "PartitionCount" in line]
        for setting in ("PartitionCount: 4", *settings):
            if setting not in line:
                raise Failed(f"{topic} is made without {setting}: {line}")


def image_as_documented(stack: Stack) -> None:
    """What an image is to have, and what it is not."""
    (image,) = json.loads(engine("image", "inspect", stack.containers("detector")[0]["Image"]))
    config = image["Config"]
    labels = {
        f"org.opencontainers.image.{name}" for name in ("title", "description", "licenses", "version", "revision")
    }
    if not (
        labels <= config["Labels"].keys() and config["Healthcheck"]["Test"] and config["Entrypoint"] == ["detector"]
    ):
        raise Failed(f"the image lacks labels, a health check or its entrypoint: {config}")
    if found := stack.compose("exec", "-T", "detector", "sh", "-c", _SUPERFLUOUS).split():
        raise Failed(f"the image has what it should not: {found}")


_SUPERFLUOUS = (
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


def trained_anew(stack: Stack) -> None:
    """By the commands of docs/deploy.md: another model scores."""
    wait("trained anew: one model before it", lambda: len(_versions(stack)) == 1, time.monotonic())
    before = _versions(stack)
    stack.compose("run", "--rm", "--entrypoint", "rm", "train", "-r", "/models/current")
    stack.compose("up", "train")
    stack.compose("restart", "detector")
    wait("trained anew: another model", lambda: _versions(stack) - before, time.monotonic())


def rolled_back(stack: Stack) -> None:
    """By the commands of docs/operations.md: the model before it scores again, without a restart."""
    wait("rolled back: one model before it", lambda: len(_versions(stack)) == 1, time.monotonic())
    (loaded,) = _versions(stack)
    folders = stack.compose("run", "--rm", "--entrypoint", "ls", "train", "/models").split()
    (before,) = set(folders) - {loaded, "current"}
    running = [container["State"]["StartedAt"] for container in stack.containers("detector")]
    started = time.monotonic()
    stack.compose("run", "--rm", "--entrypoint", "ln", "train", "-sfn", before, "/models/current")
    wait("rolled back: the model before", lambda: _versions(stack) == {before}, started)
    if [container["State"]["StartedAt"] for container in stack.containers("detector")] != running:
        raise Failed("an instance was started anew for another model")


def looked_into(stack: Stack) -> None:
    """The commands with which docs/ and the runbooks look at an instance say what they are to say."""
    instance = f"http://{stack.compose('port', 'detector', '8000').strip()}"
    with urllib.request.urlopen(f"{instance}/readyz", timeout=10) as answer:
        if answer.status != HTTPStatus.OK:
            raise Failed(f"{instance}/readyz: {answer.status}")
    if f"{PROJECT}-detector-1" not in stack.compose("ps", "-a", "detector"):
        raise Failed("ps does not show the instance")
    stack.compose("kill", "-s", "USR1", "detector")
    logs = "logs", "--no-log-prefix", "--tail", "50", "detector"
    wait("looked into: the log at level debug", lambda: '"DEBUG"' in stack.compose(*logs), time.monotonic())
    stack.compose("kill", "-s", "USR1", "detector")
    ids = stack.compose("ps", "-q", "detector")
    stack.compose("up", "-d", "--no-build", "detector")
    if stack.compose("ps", "-q", "detector") != ids:
        raise Failed("an up of an instance that is up made it anew")


def _versions(stack: Stack) -> set[str]:
    # An instance that went while Prometheus was down itself is told of for five minutes more.
    fresh = "detector_model_info and time() - timestamp(detector_model_info) < 15"
    found = stack.prometheus.get("query", query=fresh)["result"]
    return {series["metric"]["version"] for series in found}


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
    codes = [container["State"]["ExitCode"] for container in json.loads(engine("inspect", *instances))]
    if any(codes):
        raise Failed(f"instances ended with {codes}, not 0")
    stack.compose("down", "-v")
    label = f"label=com.docker.compose.project={PROJECT}"
    for kind in (["ps", "-aq"], ["volume", "ls", "-q"], ["network", "ls", "-q"]):
        left = engine(*kind, "--filter", label).split()
        if left:
            raise Failed(f"left after down -v: {kind[0]} {left}")
    say(f"down: {time.monotonic() - started:.0f} s, instances ended with 0, nothing left")


def secured(stack: Stack) -> None:
    """With TLS and SASL: alerts come, and nobody comes in without the password or in plain text."""
    started = time.monotonic()
    stack.compose("up", "-d", "--no-build")
    wait("TLS: first alert", stack.has_alerts, started)
    check = "exec", "-T", "detector", "detector", "check", "--connect"
    if "SASL_SSL" not in stack.compose(*check):
        raise Failed("the detector does not speak SASL_SSL")
    in_plain_text = ("detector", "--set", "kafka.security_protocol=PLAINTEXT", "check", "--connect")
    wrong_password = ("-e", "DETECTOR_KAFKA__SASL_PLAIN_PASSWORD=wrong", "detector", "detector", "check", "--connect")
    for what, command in (("plain text", ("detector", *in_plain_text)), ("a wrong password", wrong_password)):
        try:
            stack.compose("exec", "-T", *command)
        except Failed as refused:
            say(f"TLS: refused with {what}: {str(refused).splitlines()[-1]}")
        else:
            raise Failed(f"the broker takes a client with {what}")
    hardened(stack)


def beth_folder(folder: Path) -> str:
    """A folder such as BETH is unpacked to: the splits, and logs of DNS with columns of their own."""
    for split in ("training", "validation", "testing"):
        shutil.copy(SAMPLE, folder / f"labelled_{split}_data.csv")
    (folder / "labelled_2021may-ip-10-100-1-105-dns.csv").write_text("Timestamp,SourceIP,DestinationIP,DnsQuery\n")
    folder.chmod(0o755)  # it is read by a user of the container
    return str(folder)


def main() -> int:
    """All of it; the exit code."""
    if not engine_answers():
        say(f"skipped: no engine answers {shlex.join(COMPOSE)!r}; COMPOSE and DOCKER name other commands")
        return 0
    plain = Stack("docker-compose.yml")
    folder = tempfile.TemporaryDirectory(prefix="beth-")
    tls = Stack("docker-compose.yml", "docker-compose.tls.yml", BETH_DATA=beth_folder(Path(folder.name)))
    stack = plain
    try:
        tls.compose("down", "-v")  # the larger of the two: whatever an earlier run left
        started = time.monotonic()
        plain.compose("build", timeout_s=3600)
        tell("images built", time.monotonic() - started)
        for stack, step in (
            *((plain, step) for step in (cold, again, trained_anew, rolled_back, looked_into, scaled, down)),
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
        folder.cleanup()
    say("compose-test passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
