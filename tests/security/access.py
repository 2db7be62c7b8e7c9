"""Settings of clients of the secured broker, and runs of the real command with them."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.admin.topics import read_topic
from detector.stream.kafka_python.sink import KafkaPythonSink
from tests.helpers import event, kafka_options, running_detector, wait_until, write_all
from tests.security.secured_broker import KEY_PASSWORD, PASSWORD, USER, SecuredBroker

WRONG_PASSWORD = "never-the-right-one"  # noqa: S105
SECRETS = [PASSWORD, KEY_PASSWORD, WRONG_PASSWORD]
SUSPICIOUS = event(userId=10**12)
TOPIC_SETTINGS = ("events_topic", "alerts_topic", "dead_letter_topic", "group_id")
_PREFIX = "DETECTOR_KAFKA__"


def client_environment(secured: SecuredBroker, listener: str, **changes: Any) -> dict[str, str]:
    """The environment variables of a client of a listener; a change to None removes a setting."""
    files = secured.certificates
    protocol = {"PLAINTEXT": "PLAINTEXT", "SASL": "SASL_PLAINTEXT", "SASLTLS": "SASL_SSL"}.get(listener, "SSL")
    settings = {
        "bootstrap_servers": secured.broker.address(listener),
        "security_protocol": protocol,
        "ssl_cafile": files.authority,
        **_client_certificate(secured, listener),
        **(credentials("PLAIN") if protocol.startswith("SASL") else {}),
    } | changes
    return {f"{_PREFIX}{name.upper()}": str(value) for name, value in settings.items() if value is not None}


def client_settings(secured: SecuredBroker, listener: str, **changes: Any) -> KafkaSettings:
    """The settings that `client_environment` sets."""
    environment = client_environment(secured, listener, **changes)
    settings: dict[str, Any] = {name.removeprefix(_PREFIX).lower(): value for name, value in environment.items()}
    return KafkaSettings(**settings)


def _client_certificate(secured: SecuredBroker, listener: str) -> dict[str, Any]:
    if listener != "MTLS":
        return {}
    files = secured.certificates
    return {"ssl_certfile": files.client, "ssl_keyfile": files.client_key, "ssl_password": KEY_PASSWORD}


def credentials(mechanism: str, user: str = USER, password: str | None = PASSWORD) -> dict[str, Any]:
    """The settings of a SASL login."""
    return {"sasl_mechanism": mechanism, "sasl_plain_username": user, "sasl_plain_password": password}


def command_options(topics: KafkaSettings, model: Path) -> list[str]:
    """The options of the command. Address and credentials of the brokers are in the environment."""
    without_address = kafka_options(topics)[2:]
    return ["--set", "model.engine=numpy", "--set", f"model.path={model}", *without_address]


def assert_no_secret(text: str) -> None:
    """Check that a text contains no password, neither plain nor in a usual encoding."""
    for secret in SECRETS:
        for form in (secret, base64.b64encode(secret.encode()).decode()):
            assert form not in text


@contextmanager
def kafka_python_sink(kafka: KafkaSettings) -> Iterator[KafkaPythonSink]:
    """A sink that is closed at the end of the block."""
    sink = KafkaPythonSink(kafka)
    try:
        yield sink
    finally:
        sink.close(5)


def write_events(topics: KafkaSettings, *values: bytes) -> None:
    """Write records to the events topic as the administrator."""
    with kafka_python_sink(topics) as sink:
        write_all(sink, [OutgoingRecord(topics.events_topic, None, value, []) for value in values])


def run_failing_verbs(verbs: Sequence[str], arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Run several verbs at the same time. Each must exit with code 1; returns their standard errors."""
    command = [sys.executable, "-m", "detector", "--set", "http.port=0", *arguments]
    processes = [
        subprocess.Popen(
            [*command, *verb.split()],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for verb in verbs
    ]
    try:
        outputs = [process.communicate(timeout=60) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for (out, err), process, verb in zip(outputs, processes, verbs, strict=True):
        assert_no_secret(out + err)
        assert process.returncode == 1, (verb, out, err)
    return [err for _, err in outputs]


def startup_error(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The one line that both `check --connect` and `run` print before they exit with code 1."""
    errors = set()
    for printed in run_failing_verbs(["check --connect", "run"], arguments, environment):
        (line,) = [line for line in printed.splitlines() if line.startswith("detector: ")]
        assert "Traceback" not in printed
        errors.add(line.removeprefix("detector: "))
    (error,) = errors
    return error


def assert_works_end_to_end(
    topics: KafkaSettings, arguments: Sequence[str], log_file: Path, environment: Mapping[str, str]
) -> None:
    """Check that an event becomes an alert and an invalid record a dead letter, and that no secret is in the output."""
    write_events(topics, SUSPICIOUS, b"{")
    with running_detector(arguments, log_file, **environment) as daemon:
        daemon.wait_for_log("partitions_assigned")
        wait_until(lambda: daemon.metric("detector_records_consumed_total") == 2, "both records processed")
        metrics = daemon.get("/metrics")[1]
        assert daemon.stop(signal.SIGTERM) == 0
    assert len(read_topic(topics, topics.dead_letter_topic)) == 1
    (alert,) = read_topic(topics, topics.alerts_topic)
    assert json.loads(alert.value or b"")["event"] == json.loads(SUSPICIOUS)
    assert_no_secret(metrics + log_file.read_text())
