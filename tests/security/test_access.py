"""Who is let in, who is not and what they read; on a real broker that is secured in every way."""

import base64
import itertools
import json
import os
import signal
import subprocess
import sys

import pytest
from confluent_kafka import KafkaException
from kafka.admin import ResourceType

from detector.errors import UsageError
from detector.local.topics import create_topics, read_topic
from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.kafka_python import KafkaPythonSink
from detector.stream.librdkafka_sink import LibrdkafkaSink
from detector.stream.librdkafka_source import LibrdkafkaSource
from detector.stream.probe import brokers_behind
from detector.stream.readiness import unreachable
from tests.contract.test_stream import Heard, next_batch
from tests.helpers import detector, event, kafka_options, running_detector, wait_until, write_all
from tests.security.secured import KEY_PASSWORD, PASSWORD, SCRAM, USER, least_rights, secured_broker, transaction_rights

WRONG = "never-the-right-one"
SECRETS = [PASSWORD, KEY_PASSWORD, WRONG]
EXACTLY_ONCE = ["--set", "delivery.guarantee=exactly-once"]
SUSPICIOUS = event(userId=10**12)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    with secured_broker(tmp_path_factory.mktemp("secured")) as running:
        yield running


@pytest.fixture
def topics(secured):
    """Three new topics and a new group, as the administrator sees them; nobody else has a right on them yet."""
    n = next(_numbers)
    names = {"events_topic": f"e{n}", "alerts_topic": f"a{n}", "dead_letter_topic": f"d{n}", "group_id": f"g{n}"}
    settings = KafkaSettings(bootstrap_servers=secured.broker.bootstrap_servers, **names)
    create_topics(settings, partitions=1)
    return settings


def over(secured, listener, **changes):
    """The environment of a client of a listener; every certificate is given, None takes a setting away."""
    files = secured.certificates
    protocol = {"PLAINTEXT": "PLAINTEXT", "SASL": "SASL_PLAINTEXT", "SASLTLS": "SASL_SSL"}.get(listener, "SSL")
    given = {
        "bootstrap_servers": secured.broker.address(listener),
        "security_protocol": protocol,
        "ssl_cafile": files.authority,
        **_own_certificate(secured, listener),
        **(_login("PLAIN") if protocol.startswith("SASL") else {}),
    } | changes
    return {f"DETECTOR_KAFKA__{name.upper()}": str(value) for name, value in given.items() if value is not None}


def _own_certificate(secured, listener):
    if listener != "MTLS":
        return {}
    files = secured.certificates
    return {"ssl_certfile": files.client, "ssl_keyfile": files.client_key, "ssl_password": KEY_PASSWORD}


def _login(mechanism, user=USER, password=PASSWORD):
    return {"sasl_mechanism": mechanism, "sasl_plain_username": user, "sasl_plain_password": password}


def options(topics, model):
    """The command's options; the address comes from the environment with the credentials."""
    without_address = kafka_options(topics)[2:]
    return ["--set", "model.engine=numpy", "--set", f"model.path={model}", *without_address]


def assert_no_secret(text):
    for secret in SECRETS:
        for form in (secret, base64.b64encode(secret.encode()).decode()):
            assert form not in text


def produce(topics, *values):
    sink = KafkaPythonSink(topics)
    write_all(sink, [OutgoingRecord(topics.events_topic, None, value, []) for value in values])
    sink.close(5)


def said_by(verbs, arguments, environment):
    """Run several verbs side by side; the standard error of each, all of which must end with exit code 1."""
    command = [sys.executable, "-m", "detector", "--set", "http.port=0", *arguments]
    running = [
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
        outputs = [process.communicate(timeout=60) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    for (out, err), process, verb in zip(outputs, running, verbs, strict=True):
        assert_no_secret(out + err)
        assert process.returncode == 1, (verb, out, err)
    return [err for _, err in outputs]


def refusal(arguments, environment):
    """The one line that `check --connect` and `run` both say before they exit with 1."""
    heard = set()
    for said in said_by(["check --connect", "run"], arguments, environment):
        (line,) = [line for line in said.splitlines() if line.startswith("detector: ")]
        assert "Traceback" not in said
        heard.add(line.removeprefix("detector: "))
    (line,) = heard
    return line


def works_end_to_end(topics, arguments, log_file, environment):
    """One suspicious event becomes an alert and one bad record a dead letter, and no secret is told meanwhile."""
    produce(topics, SUSPICIOUS, b"{")
    with running_detector(arguments, log_file, **environment) as daemon:
        daemon.wait_for_log("partitions assigned")
        wait_until(lambda: daemon.metric("detector_records_consumed_total") == 2, "both records")
        told = daemon.get("/metrics")[1]
        assert daemon.stop(signal.SIGTERM) == 0
    assert len(read_topic(topics, topics.dead_letter_topic)) == 1
    (alert,) = read_topic(topics, topics.alerts_topic)
    assert json.loads(alert.value)["event"] == json.loads(SUSPICIOUS)
    assert_no_secret(told + log_file.read_text())


@pytest.mark.parametrize("listener", ["TLS", "MTLS"])
def test_tls_works_end_to_end(secured, topics, model, tmp_path, listener):
    """Encrypted, and with certificates on both sides, whose key has a password."""
    principal = f"User:{USER}" if listener == "MTLS" else "User:ANONYMOUS"
    secured.grant(principal, least_rights(topics))

    works_end_to_end(topics, options(topics, model), tmp_path / "log", over(secured, listener))


@pytest.mark.parametrize("mechanism", ["PLAIN", *SCRAM])
def test_login_works_with_exactly_the_rights_that_are_written_down(secured, topics, model, tmp_path, mechanism):
    """The rights in docs/operations.md suffice, by every login; at level debug nothing tells the password either.

    The password comes from a file in the secrets folder, as Docker and Kubernetes hand it over.
    """
    secured.grant(f"User:{USER}", least_rights(topics))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "DETECTOR_KAFKA__SASL_PLAIN_PASSWORD").write_text(f"{PASSWORD}\n")
    environment = over(secured, "SASLTLS", **_login(mechanism, password=None))
    environment |= {"DETECTOR_SECRETS_DIR": str(tmp_path / "secrets"), "DETECTOR_LOG__LEVEL": "debug"}

    shown = detector("config", **environment)
    assert f"# sasl_plain_password = ********  # secrets in {tmp_path / 'secrets'}" in shown.stdout
    assert_no_secret(shown.stdout + shown.stderr)

    works_end_to_end(topics, options(topics, model), tmp_path / "log", environment)


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_exactly_once_works_with_exactly_the_rights_that_are_written_down(secured, topics, model, tmp_path, client):
    """Transactions need a right of their own, under the names that the service gives them, with either client."""
    secured.grant(f"User:{USER}", [*least_rights(topics), *transaction_rights(topics)])
    environment = over(secured, "SASL", client=client)

    arguments = [*options(topics, model), *EXACTLY_ONCE]
    assert detector(*arguments, "check", "--connect", **environment).returncode == 0
    works_end_to_end(topics, arguments, tmp_path / "log", environment)


@pytest.mark.parametrize("lacking", ["DESCRIBE", "WRITE"])
def test_missing_right_to_transactions_is_one_line_before_anything_is_read(secured, topics, model, lacking):
    """Found out at the start, with the command that grants it;."""
    kept = [right for right in transaction_rights(topics) if lacking == "WRITE" and right[2].name != lacking]
    secured.grant(f"User:{USER}", [*least_rights(topics), *kept])

    line = refusal([*options(topics, model), *EXACTLY_ONCE], over(secured, "SASL"))

    assert line.startswith(f"transactional-id {topics.group_id}-: this client lacks the right to DESCRIBE, WRITE: ")
    assert line.endswith(f"--transactional-id {topics.group_id}- --resource-pattern-type prefixed")


def test_check_passes_with_exactly_the_rights_that_are_written_down(secured, topics, model):
    """What `check --connect` asks for is what the service needs, no more."""
    secured.grant(f"User:{USER}", least_rights(topics))

    done = detector(*options(topics, model), "check", "--connect", **over(secured, "SASL"))

    assert done.returncode == 0, done.stdout
    assert_no_secret(done.stdout + done.stderr)


@pytest.mark.parametrize("mechanism", ["PLAIN", *SCRAM])
@pytest.mark.parametrize("user", [USER, "stranger"])
def test_wrong_login_is_one_line(secured, mechanism, user):
    """A wrong password and an unknown user are told apart from a broker that is not there, and not waited for."""
    kafka = KafkaSettings(
        bootstrap_servers=secured.broker.address("SASL"),
        security_protocol="SASL_PLAINTEXT",
        **_login(mechanism, user, WRONG),
    )

    with pytest.raises(
        Exception, match=rf"the login of '{user}' by {mechanism} is refused: .*: check DETECTOR_"
    ) as caught:
        unreachable(kafka)
    assert caught.value.exit_code == 1
    assert_no_secret(str(caught.value) + repr(caught.value.__cause__))


CASES = {
    "wrong password": (
        "SASLTLS",
        {"sasl_plain_password": WRONG},
        (
            "the login of 'detector' by PLAIN is refused: Authentication failed: Invalid username or password: check "
            "DETECTOR_KAFKA__SASL_PLAIN_USERNAME and DETECTOR_KAFKA__SASL_PLAIN_PASSWORD"
        ),
    ),
    "expired certificate": (
        "EXPIRED",
        {},
        "its certificate is not trusted: certificate has expired: renew the broker's certificate",
    ),
    "wrong authority": (
        "TLS",
        {"ssl_cafile": "other_authority"},
        (
            "its certificate is not trusted: unable to get local issuer certificate: point DETECTOR_KAFKA__SSL_CAFILE "
            "at the authority that signed the broker's certificate"
        ),
    ),
    "wrong host name": (
        "MISNAMED",
        {},
        (
            "its certificate is not trusted: IP address mismatch, certificate is not valid for '127.0.0.1': use the "
            "host name that the certificate is made for in DETECTOR_KAFKA__BOOTSTRAP_SERVERS and in the broker's "
            "advertised.listeners, or a certificate for this one"
        ),
    ),
    "no client certificate": (
        "MTLS",
        {"ssl_certfile": None, "ssl_keyfile": None, "ssl_password": None},
        (
            "it wants a client's certificate (tlsv13 alert certificate required): set DETECTOR_KAFKA__SSL_CERTFILE and "
            "its SSL_KEYFILE"
        ),
    ),
    "plaintext on a TLS port": (
        "TLS",
        {"security_protocol": "PLAINTEXT"},
        "DETECTOR_KAFKA__SECURITY_PROTOCOL=PLAINTEXT, but the broker speaks TLS: use SSL",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refusal_is_one_line_and_exit_code_1(secured, topics, model, case):
    """Neither verb hangs, retries what cannot succeed or shows a traceback; both say what, where and what to do."""
    listener, changes, expected = CASES[case]
    if "ssl_cafile" in changes:
        changes = {"ssl_cafile": secured.certificates.other_authority}

    line = refusal(options(topics, model), over(secured, listener, **changes))

    assert line == f"{secured.broker.address(listener)}: {expected}"


@pytest.mark.parametrize("place", range(4), ids=["read events", "write alerts", "write dead letters", "read group"])
def test_missing_right_is_one_line_before_anything_is_read(secured, topics, model, place):
    """Found out at the start, not at the first alert, weeks later; with the command that grants it."""
    (kind, name, operation) = [right for right in least_rights(topics) if right[2].name != "DESCRIBE"][place]
    kept = [right for right in least_rights(topics) if right[1] != name]
    secured.grant(f"User:{USER}", kept)

    line = refusal(options(topics, model), over(secured, "SASL"))

    kind = "topic" if kind is ResourceType.TOPIC else "group"
    assert line.startswith(f"{kind} {name}: this client lacks the right to ")
    assert f"--allow-principal User:{USER} " in line
    assert f"--operation {operation.name.title()} --{kind} {name}" in line


def settings_for(secured, listener, **changes):
    """The same as `over`, as settings."""
    prefix = len("DETECTOR_KAFKA__")
    return KafkaSettings(**{name[prefix:].lower(): value for name, value in over(secured, listener, **changes).items()})


@pytest.mark.parametrize(
    ("listener", "changes", "expected"),
    [
        ("PLAINTEXT", {"security_protocol": "SSL"}, "the broker speaks no TLS: use its TLS port, or PLAINTEXT"),
        ("SASL", {"security_protocol": "PLAINTEXT"}, "asks for a login by PLAIN, SCRAM-.*: use SASL_PLAINTEXT"),
        ("SASLTLS", {"security_protocol": "SSL"}, "the broker asks for a login by PLAIN, SCRAM-.*: use SASL_SSL"),
        ("SASLTLS", {"security_protocol": "SASL_PLAINTEXT"}, "the broker speaks TLS: use SASL_SSL"),
        ("TLS", {"security_protocol": "SASL_SSL", **_login("PLAIN")}, "the broker asks for no login: use SSL"),
        ("SASL", {"sasl_mechanism": "GSSAPI"}, "offers no SASL mechanism GSSAPI but PLAIN, SCRAM-SHA-256"),
    ],
)  # fmt: skip
def test_mismatched_listener_is_told_with_the_setting_to_change(secured, listener, changes, expected):
    """The wrong port of a cluster, in every combination, names the protocol that it speaks."""
    with pytest.raises(Exception, match=expected):
        unreachable(settings_for(secured, listener, **changes))


def test_expired_client_certificate_is_told(secured):
    """The broker's verdict comes after the handshake, with TLS 1.3, and is not lost."""
    files = secured.certificates
    kafka = settings_for(secured, "MTLS", ssl_certfile=files.expired_client, ssl_keyfile=files.expired_client_key)

    with pytest.raises(Exception, match=r"it refuses the certificate in DETECTOR_KAFKA__SSL_CERTFILE=.*: renew it"):
        unreachable(kafka)


@pytest.mark.parametrize(
    ("listener", "changes"),
    [
        ("TLS", {}),
        ("TLS", {"ssl_ciphers": "ECDHE+AESGCM"}),
        ("MTLS", {}),
        ("MISNAMED", {"ssl_check_hostname": False}),
        ("SASL", _login("PLAIN")),
        ("SASLTLS", _login("SCRAM-SHA-256")),
        ("SASLTLS", _login("SCRAM-SHA-512")),
    ],
)  # fmt: skip
def test_librdkafka_is_let_in_by_the_same_settings(secured, topics, listener, changes):
    """It has options and a TLS of its own: what opens the door for one client opens it for the other."""
    named = listener in ("MTLS", "SASL", "SASLTLS")
    secured.grant(f"User:{USER if named else 'ANONYMOUS'}", least_rights(topics))
    names = ("events_topic", "alerts_topic", "dead_letter_topic", "group_id")
    kafka = settings_for(secured, listener, **changes).model_copy(update={n: getattr(topics, n) for n in names})
    produce(topics, b"event")
    sink, source = LibrdkafkaSink(kafka), LibrdkafkaSource(kafka, Heard())

    assert [record.value for record in next_batch(source).records] == [b"event"]
    write_all(sink, [OutgoingRecord(kafka.alerts_topic, None, b"alert", [])])
    sink.close(5)
    source.close(5)


@pytest.mark.parametrize("listener", ["EXPIRED", "MISNAMED"])
def test_librdkafka_trusts_no_wrong_certificate(secured, topics, listener):
    """The check before the start is no excuse: each later connection looks at the certificate too."""
    source = LibrdkafkaSource(settings_for(secured, listener), Heard())

    with pytest.raises(KafkaException, match="_TRANSPORT|_TIMED_OUT|_ALL_BROKERS_DOWN|_SSL"):
        source.missing_topics([topics.events_topic])
    source.close(5)


def test_certificate_for_the_bootstrap_name_only_is_told(secured):
    """The first connection succeeds, and the one to the advertised address would fail for ever."""
    port = secured.broker.address("MISNAMED").split(":")[1]
    kafka = settings_for(secured, "MISNAMED", bootstrap_servers=f"localhost:{port}")

    assert brokers_behind(f"localhost:{port}", kafka) == [f"127.0.0.1:{port}"]
    with pytest.raises(Exception, match=r"IP address mismatch, certificate is not valid for '127.0.0.1'"):
        unreachable(kafka)


@pytest.mark.parametrize("password", [None, WRONG])
def test_key_without_its_password_is_a_wrong_setting(secured, topics, model, password):
    """OpenSSL must not ask a terminal that nobody watches, and the password is in no message."""
    done = detector(*options(topics, model), "run", **over(secured, "MTLS", ssl_password=password))

    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("detector: ")]
    assert "SSL_KEYFILE or SSL_PASSWORD: cannot be used for TLS" in line
    assert_no_secret(done.stdout + done.stderr)


def test_one_good_broker_of_several_is_enough(secured):
    """A broker that is down, or whose certificate is wrong, does not stop a client that another one lets in."""
    good, expired = secured.broker.address("TLS"), secured.broker.address("EXPIRED")

    assert unreachable(settings_for(secured, "TLS", bootstrap_servers=f"127.0.0.1:1,{expired},{good}")) is None


def test_ciphers_are_those_of_the_settings(secured, topics):
    """kafka-python has no such option and its admin client refuses it: the setting would be worth nothing."""
    kafka = settings_for(secured, "TLS", ssl_ciphers="ECDHE+AESGCM")
    assert unreachable(kafka) is None
    create_topics(kafka.model_copy(update={"events_topic": f"{topics.events_topic}-ciphers"}), partitions=1)

    with pytest.raises(UsageError, match=r"DETECTOR_KAFKA__SSL_CIPHERS=none-of-these: cannot be used for TLS"):
        unreachable(settings_for(secured, "TLS", ssl_ciphers="none-of-these"))


def test_login_without_a_password_is_a_wrong_setting():
    """The client library would only fail at its first connection, with a TypeError."""
    with pytest.raises(ValueError, match="PLAIN needs sasl_plain_username and sasl_plain_password"):
        KafkaSettings(security_protocol="SASL_SSL", **_login("PLAIN", password=None))
