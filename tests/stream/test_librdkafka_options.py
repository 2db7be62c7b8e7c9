"""The settings in librdkafka's own options, and what is said where it has no counterpart, or is not there."""

import sys

import pytest

from detector.errors import UsageError
from detector.settings import KafkaSettings
from detector.stream.connect import client_of
from detector.stream.librdkafka_options import consumer_options, producer_options
from tests.helpers import detector


def test_without_the_extra_it_is_one_line(monkeypatch):
    """The library is optional, and the setting is not silently another one."""
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)

    with pytest.raises(UsageError, match=r"CLIENT=librdkafka needs the extra `librdkafka`: pip install"):
        client_of(KafkaSettings(client="librdkafka"))


REFUSED = {
    "max_record_bytes": (
        {"max_record_bytes": 2_000_000_000},
        "MAX_RECORD_BYTES=2000000000: with DETECTOR_KAFKA__CLIENT=librdkafka at most 999934464",
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


@pytest.mark.parametrize("case", REFUSED)
def test_what_librdkafka_has_no_counterpart_for_is_refused(case):
    """Before anything starts, with what to change; never left out in silence."""
    changes, expected = REFUSED[case]

    with pytest.raises(UsageError, match=expected):
        client_of(KafkaSettings(client="librdkafka", **changes))


def test_check_tells_what_the_client_cannot_do(tmp_path):
    """`detector check` and `detector run` say the same, and exit with 2."""
    done = detector(
        "check", cwd=tmp_path, DETECTOR_KAFKA__CLIENT="librdkafka", DETECTOR_KAFKA__MAX_RECORD_BYTES="2000000000"
    )

    assert done.returncode == 2
    assert "FAIL  settings    DETECTOR_KAFKA__MAX_RECORD_BYTES=2000000000: with" in done.stdout


def test_every_security_setting_reaches_librdkafka(tmp_path):
    """A setting that was left out on the way would be less safety than was asked for."""
    file = tmp_path / "some.pem"
    file.touch()
    names = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile")
    kafka = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="user",
        sasl_plain_password="secret",  # noqa: S106 - of nobody
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
