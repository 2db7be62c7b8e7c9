"""The service with each kind of authentication and exactly the documented ACLs, and without one of them."""

import pytest
from kafka.admin import ResourceType

from detector.records import OutgoingRecord
from detector.stream.librdkafka.sink import LibrdkafkaSink
from detector.stream.librdkafka.source import LibrdkafkaSource
from tests.helpers import detector, write_all
from tests.security.access import (
    TOPIC_SETTINGS,
    assert_no_secret,
    assert_works_end_to_end,
    client_environment,
    client_settings,
    command_options,
    credentials,
    startup_error,
    write_events,
)
from tests.security.secured_broker import PASSWORD, SCRAM, USER, required_acls, required_transaction_acls
from tests.stream.listeners import RecordingListener
from tests.stream.reading import closing, next_batch

EXACTLY_ONCE = ["--set", "delivery.guarantee=exactly-once"]


@pytest.mark.parametrize("listener", ["TLS", "MTLS"])
def test_tls_works_end_to_end(secured, topics, model, tmp_path, listener):
    """Otherwise the service could not run with encryption, or with a client certificate and its key's password."""
    principal = f"User:{USER}" if listener == "MTLS" else "User:ANONYMOUS"
    secured.grant(principal, required_acls(topics))

    environment = client_environment(secured, listener)
    assert_works_end_to_end(topics, command_options(topics, model), tmp_path / "log", environment)


@pytest.mark.parametrize("mechanism", ["PLAIN", *SCRAM])
def test_login_works_with_exactly_the_documented_acls(secured, topics, model, tmp_path, mechanism):
    """Otherwise users would need undocumented ACLs, or find their password in a log."""
    secured.grant(f"User:{USER}", required_acls(topics))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "DETECTOR_KAFKA__SASL_PLAIN_PASSWORD").write_text(f"{PASSWORD}\n")
    environment = client_environment(secured, "SASLTLS", **credentials(mechanism, password=None))
    environment |= {"DETECTOR_SECRETS_DIR": str(tmp_path / "secrets"), "DETECTOR_LOG__LEVEL": "debug"}

    shown = detector("config", **environment)
    assert f"# sasl_plain_password = ********  # secrets in {tmp_path / 'secrets'}" in shown.stdout
    assert_no_secret(shown.stdout + shown.stderr)

    assert_works_end_to_end(topics, command_options(topics, model), tmp_path / "log", environment)


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_exactly_once_works_with_exactly_the_documented_acls(secured, topics, model, tmp_path, client):
    """Otherwise users of exactly-once would need undocumented ACLs on the service's transactional ids."""
    secured.grant(f"User:{USER}", [*required_acls(topics), *required_transaction_acls(topics)])
    environment = client_environment(secured, "SASL", client=client)
    arguments = [*command_options(topics, model), *EXACTLY_ONCE]

    assert detector(*arguments, "check", "--connect", **environment).returncode == 0
    assert_works_end_to_end(topics, arguments, tmp_path / "log", environment)


@pytest.mark.parametrize(
    ("listener", "changes"),
    [
        ("TLS", {}),
        ("TLS", {"ssl_ciphers": "ECDHE+AESGCM"}),
        ("MTLS", {}),
        ("MISNAMED", {"ssl_check_hostname": False}),
        ("SASL", credentials("PLAIN")),
        ("SASLTLS", credentials("SCRAM-SHA-256")),
        ("SASLTLS", credentials("SCRAM-SHA-512")),
    ],
)  # fmt: skip
def test_librdkafka_works_with_the_same_settings(secured, topics, listener, changes):
    """Otherwise users who choose librdkafka would have to change their security settings."""
    is_named = listener in ("MTLS", "SASL", "SASLTLS")
    secured.grant(f"User:{USER if is_named else 'ANONYMOUS'}", required_acls(topics))
    names = {name: getattr(topics, name) for name in TOPIC_SETTINGS}
    kafka = client_settings(secured, listener, **changes).model_copy(update=names)
    write_events(topics, b"event")

    with closing(LibrdkafkaSink(kafka)) as sink, closing(LibrdkafkaSource(kafka, RecordingListener())) as source:
        assert [record.value for record in next_batch(source).records] == [b"event"]
        write_all(sink, [OutgoingRecord(kafka.alerts_topic, None, b"alert", [])])


def test_check_passes_with_exactly_the_documented_acls(secured, topics, model):
    """Otherwise users would have to grant more access than the service needs, only for `check --connect`."""
    secured.grant(f"User:{USER}", required_acls(topics))

    done = detector(*command_options(topics, model), "check", "--connect", **client_environment(secured, "SASL"))

    assert done.returncode == 0, done.stdout
    assert_no_secret(done.stdout + done.stderr)


@pytest.mark.parametrize("missing", range(4), ids=["read events", "write alerts", "write dead letters", "read group"])
def test_missing_acl_is_one_line_before_anything_is_read(secured, topics, model, missing):
    """Otherwise a missing ACL might show only weeks later, at the first alert."""
    (resource, name, operation) = [acl for acl in required_acls(topics) if acl[2].name != "DESCRIBE"][missing]
    secured.grant(f"User:{USER}", [acl for acl in required_acls(topics) if acl[1] != name])

    line = startup_error(command_options(topics, model), client_environment(secured, "SASL"))

    kind = "topic" if resource is ResourceType.TOPIC else "group"
    assert line.startswith(f"{kind} {name}: authorization failed: ")
    assert f"--allow-principal User:{USER} " in line
    assert f"--operation {operation.name.title()} --{kind} {name}" in line


@pytest.mark.parametrize("missing", ["DESCRIBE", "WRITE"])
def test_missing_acl_of_transactions_is_one_line_before_anything_is_read(secured, topics, model, missing):
    """Otherwise exactly-once would fail at its first batch, without the command that grants the missing ACL."""
    kept = [acl for acl in required_transaction_acls(topics) if missing == "WRITE" and acl[2].name != missing]
    secured.grant(f"User:{USER}", [*required_acls(topics), *kept])

    line = startup_error([*command_options(topics, model), *EXACTLY_ONCE], client_environment(secured, "SASL"))

    prefix = f"{topics.group_id}-"
    assert line.startswith(f"transactional-id {prefix}: authorization failed: DESCRIBE, WRITE is not allowed; grant it")
    assert line.endswith(f"--transactional-id {prefix} --resource-pattern-type prefixed")
