"""Settings as librdkafka's options, and the errors when librdkafka is not installed or lacks a counterpart."""

import sys
from typing import Any

import pytest

from detector.errors import UsageError
from detector.settings import KafkaSettings
from detector.stream.connect import client_of
from detector.stream.librdkafka.options import consumer_options, producer_options
from tests.helpers import detector


def test_missing_library_is_a_usage_error(monkeypatch):
    """Otherwise a user without the extra would see a traceback, or unknowingly run with the other client."""
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)

    with pytest.raises(UsageError, match=r"CLIENT=librdkafka needs the extra `librdkafka`: pip install"):
        client_of(KafkaSettings(client="librdkafka"))


UNSUPPORTED: dict[str, tuple[dict[str, Any], str]] = {
    "max_record_bytes": (
        {"max_record_bytes": 2_000_000_000},
        "MAX_RECORD_BYTES=2000000000: with DETECTOR_KAFKA__CLIENT=librdkafka the largest value is 999934464",
    ),
    "kerberos": (
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "GSSAPI"},
        r"SASL_MECHANISM=GSSAPI: .*No provider for SASL mechanism GSSAPI",
    ),
    "kerberos domain": (
        {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "GSSAPI",
            "sasl_kerberos_domain_name": "example.org",
        },
        "SASL_KERBEROS_DOMAIN_NAME=example.org: librdkafka takes the domain from",
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_setting_that_librdkafka_does_not_support_is_a_usage_error(case):
    """Otherwise the setting would be ignored silently."""
    changes, expected = UNSUPPORTED[case]

    with pytest.raises(UsageError, match=expected):
        client_of(KafkaSettings(client="librdkafka", **changes))


def test_check_reports_unsupported_settings(tmp_path):
    """Otherwise `detector check` would approve settings with which `detector run` does not start."""
    done = detector(
        "check", cwd=tmp_path, DETECTOR_KAFKA__CLIENT="librdkafka", DETECTOR_KAFKA__MAX_RECORD_BYTES="2000000000"
    )

    assert done.returncode == 2
    assert "FAIL  settings    DETECTOR_KAFKA__MAX_RECORD_BYTES=2000000000: with" in done.stdout


def test_every_security_setting_reaches_librdkafka(tmp_path):
    """Otherwise the connection would be less secure than its settings say."""
    file = tmp_path / "some.pem"
    file.touch()
    names = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile")
    kafka = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="user",
        sasl_plain_password="secret",  # noqa: S106 - not a real password
        ssl_password="open",  # noqa: S106
        ssl_ciphers="ECDHE+AESGCM",
        ssl_check_hostname=False,
        **dict.fromkeys(names, file),
    )

    for options in (consumer_options(kafka), producer_options(kafka)):
        assert {name: value for name, value in options.items() if name.startswith(("ssl", "sasl", "security"))} == {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "user",
            "sasl.password": "secret",
            "ssl.ca.location": str(file),
            "ssl.certificate.location": str(file),
            "ssl.key.location": str(file),
            "ssl.key.password": "open",
            "ssl.crl.location": str(file),
            "ssl.cipher.suites": "ECDHE+AESGCM",
            "ssl.endpoint.identification.algorithm": "none",
        }
