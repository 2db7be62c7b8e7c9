"""Names and addresses: those that Kafka permits, and what the error about another one says."""

import pytest
from pydantic import ValidationError

from detector.errors import UsageError
from detector.settings import HttpSettings, KafkaSettings
from detector.settings.names import split_address
from detector.settings.sources import load_settings


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "a" * 249, "...", "__own"])
def test_topics_that_kafka_permits_are_permitted(name):
    """Otherwise the service could not read a topic that exists."""
    assert KafkaSettings(events_topic=name).events_topic == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a,b", "is a list, but this is the name of one topic: write one name"),
        ("a; b", "is a list"),
        ("a b", "is a list"),
        ("^events.*", r"is a pattern \('\^'\).*: write the whole name"),
        ("events-*", "is a pattern"),
        ("a|b", "is a pattern"),
        ("[a]", "is a pattern"),
        ("a/b", "'/' is not permitted in the name of a topic: write only letters"),
        ("ä", "'ä' is not permitted"),
        (".", "is reserved by Kafka"),
        ("..", "is reserved by Kafka"),
        ("__consumer_offsets", "is reserved by Kafka: write the name of another topic"),
        ("a" * 250, "has 250 characters: write the name of a topic with 1 to 249"),
    ],
)
@pytest.mark.parametrize("setting", ["events_topic", "alerts_topic", "dead_letter_topic"])
def test_invalid_topic_says_what_to_write(monkeypatch, setting, name, hint):
    """Otherwise the service would wait for ever for a topic that cannot exist."""
    monkeypatch.setenv(f"DETECTOR_KAFKA__{setting.upper()}", name)

    with pytest.raises(UsageError, match=rf"^DETECTOR_KAFKA__{setting.upper()}=.* \(from environment\): {hint}"):
        load_settings()


@pytest.mark.parametrize("name", ["a", "blue team", "a,b", "ü*^"])
def test_groups_that_kafka_permits_are_permitted(name):
    """Otherwise the service could not continue in a group that exists."""
    assert KafkaSettings(group_id=name, instance_id=name).group_id == name


@pytest.mark.parametrize(
    ("name", "hint"), [("", "is empty"), (" ", "is empty"), ("a\nb", "has a line end"), ("a # b", "write a$")]
)
@pytest.mark.parametrize("setting", ["group_id", "instance_id"])
def test_invalid_group_says_what_to_write(setting, name, hint):
    """Otherwise the service would start a new group, and read every event again."""
    with pytest.raises(UsageError, match=hint):
        load_settings(overrides=[f"kafka.{setting}={name}"])


@pytest.mark.parametrize(
    ("text", "address"),
    [("h:1", ("h", 1)), ("[::1]:5", ("::1", 5)), (" h:1 ", ("h", 1)), ("10.0.0.1:65535", ("10.0.0.1", 65535))],
)
def test_addresses_are_parsed_like_kafkas_clients_do(text, address):
    """Otherwise addresses that work with Kafka's own tools would be rejected."""
    assert split_address(text) == address
    assert KafkaSettings(bootstrap_servers=f"{text},other_host:2, third:3").bootstrap_servers.startswith(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("kafka", "'kafka' is not HOST:PORT: add the port, for example kafka:9092"),
        ("a:1,kafka", "'kafka' is not HOST:PORT: add the port"),
        ("[::1]", r"add the port, for example \[::1\]:9092"),
        ("kafka:", "the port must be a number from 1 to 65535, such as kafka:9092"),
        ("kafka:0", "the port must be"),
        ("kafka:65536", "the port must be"),
        ("kafka:9092x", "the port must be"),
        ("kafka:9092/path", "the port must be"),
        ("kafka:٩٠٩٢", "the port must be"),
        ("PLAINTEXT://kafka:9092", "write kafka:9092, and set the protocol by DETECTOR_KAFKA__SECURITY_PROTOCOL"),
        ("http://kafka:9092/", "write kafka:9092, and"),
        ("a:1;b:2", "separate brokers with commas: write a:1,b:2"),
        ("a:1 b:2", "separate brokers with commas: write a:1,b:2"),
        ("a:1\nb:2", "separate brokers with commas: write a:1,b:2"),
        ("a:1,", "remove the comma without a broker"),
        ("a:1,,b:2", "remove the comma without a broker"),
        ("::1:9092", r"write \[::1\]:9092"),
        ("2001:db8::1", r"write \[2001:db8::1\]:9092"),
        ("[::1:9092", "write a host name and a port, such as broker-1:9092"),
        ("[kafka]:9092", "write a host name and a port"),
        (":9092", "write a host name and a port"),
        ("user@kafka:9092", "write a host name and a port"),
    ],
)
def test_invalid_servers_say_what_to_write(text, hint):
    """Otherwise the service would wait for ever for a broker that does not exist."""
    with pytest.raises(ValidationError, match=hint):
        KafkaSettings(bootstrap_servers=text)


@pytest.mark.parametrize("host", ["127.0.0.1", "::", "::1", "fe80::1%eth0", "localhost", "my_host.example"])
def test_addresses_to_listen_on_are_permitted(host):
    """Otherwise the metrics could not be served there."""
    assert HttpSettings(host=host).host == host
    if ":" in host:
        assert HttpSettings(host=f"[{host}]").host == host


@pytest.mark.parametrize("host", ["", "*", "http://localhost", "127.0.0.1:8000", "[::1]:8000", "[localhost]", "a b"])
def test_invalid_address_to_listen_on_says_what_to_write(host):
    """Otherwise the service would listen on every interface, or end with an error of the resolver."""
    with pytest.raises(
        ValidationError, match="is not an address: write only an IP address or a host name, for example"
    ):
        HttpSettings(host=host)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ('"blue"', '"blue" (from environment): has quotes around it: write blue'),
        ("'blue'", "'blue' (from environment): has quotes around it: write blue"),
        ("' blue '", "' blue ' (from environment): has quotes around it: write blue"),
        (
            "blue\n",
            "'blue\\n' (from environment): has blanks or a line end around it: write blue",
        ),
        (
            " blue",
            "' blue' (from environment): has blanks or a line end around it: write blue",
        ),
        ("bl\udce4u", "'bl\\udce4u' (from environment): is not UTF-8: write it in UTF-8"),
    ],
)
def test_quotes_and_blanks_around_a_value_are_one_line(monkeypatch, value, hint):
    """Otherwise the quotes that `docker run --env-file` keeps would become part of a group's name."""
    monkeypatch.setenv("DETECTOR_KAFKA__GROUP_ID", value)

    with pytest.raises(UsageError) as caught:
        load_settings()
    assert str(caught.value) == f"DETECTOR_KAFKA__GROUP_ID={hint}"


@pytest.mark.parametrize("name", ["model.path", "http.port", "kafka.bootstrap_servers", "kafka.security_protocol"])
def test_every_kind_of_setting_refuses_quotes_around_its_value(name):
    """Otherwise a folder or a broker would be looked for under a name that nobody sees to be wrong."""
    with pytest.raises(UsageError, match="has quotes around it: write 8000"):
        load_settings(overrides=[f'{name}="8000"'])


def test_password_may_have_quotes_and_blanks_around_it(monkeypatch):
    """Otherwise such a password could not be used."""
    monkeypatch.setenv("DETECTOR_KAFKA__SASL_PLAIN_PASSWORD", ' "x" ')

    password = load_settings().settings.kafka.sasl_plain_password

    assert password is not None
    assert password.get_secret_value() == ' "x" '
