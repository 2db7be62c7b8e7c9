"""The choice of the Kafka client, and the default batch size that depends on the client and the guarantee."""

import tomllib
from pathlib import Path

import pytest

from detector.errors import UsageError
from detector.settings import BatchSettings, DeliverySettings, KafkaSettings, Settings
from detector.settings.clients import DEFAULT_CLIENT, KAFKA_CLIENTS
from detector.settings.sources import load_settings
from detector.settings.toml_output import render_settings
from tests.helpers import detector

DEFAULT_RECORDS = [
    ("at-least-once", "kafka-python", 5_000),
    ("at-least-once", "librdkafka", 5_000),
    ("exactly-once", "kafka-python", 7_000),
    ("exactly-once", "librdkafka", 10_000),
]


def test_every_client_has_a_tested_default():
    """Otherwise a new client could get a batch size that nobody has measured."""
    assert {client for _, client, _ in DEFAULT_RECORDS} == set(KAFKA_CLIENTS)
    assert DEFAULT_CLIENT == "kafka-python"


@pytest.mark.parametrize(("guarantee", "client", "records"), DEFAULT_RECORDS)
def test_settings_made_in_code_have_the_default_batch_size(guarantee, client, records):
    """Otherwise programs that use the package would get small, slow transactions."""
    settings = Settings(
        kafka=KafkaSettings(client=client), delivery=DeliverySettings(guarantee=guarantee), batch=BatchSettings()
    )

    assert settings.batch.max_records == settings.batch.records == records


def test_plain_settings_have_the_default_batch_size():
    """Otherwise programs that use the package would get another batch size than the service."""
    assert Settings().batch.max_records == Settings().batch.records == BatchSettings().records == 5_000


@pytest.mark.parametrize(("guarantee", "client", "records"), DEFAULT_RECORDS)
@pytest.mark.parametrize("source", ["command line", "environment", ".env", "TOML"])
def test_default_batch_size_follows_from_every_source_of_settings(
    monkeypatch, tmp_path, source, guarantee, client, records
):
    """Otherwise a deployment that sets its guarantee or client in one of the sources would get a wrong batch size."""
    overrides, config = [], None
    if source == "command line":
        overrides = [f"delivery.guarantee={guarantee}", f"kafka.client={client}"]
    elif source == "environment":
        monkeypatch.setenv("DETECTOR_DELIVERY__GUARANTEE", guarantee)
        monkeypatch.setenv("DETECTOR_KAFKA__CLIENT", client)
    elif source == ".env":
        Path(".env").write_text(f"DETECTOR_DELIVERY__GUARANTEE={guarantee}\nDETECTOR_KAFKA__CLIENT={client}\n")
    else:
        config = tmp_path / "detector.toml"
        config.write_text(f'[delivery]\nguarantee = "{guarantee}"\n[kafka]\nclient = "{client}"\n')

    loaded = load_settings(config, overrides)

    assert loaded.settings.batch.max_records == records
    assert f"max_records = {records}  # default" in render_settings(loaded)


def test_chosen_batch_size_is_kept(monkeypatch):
    """Otherwise the default would replace a batch size that an operator has set."""
    monkeypatch.setenv("DETECTOR_BATCH__MAX_RECORDS", "300")

    loaded = load_settings(overrides=["delivery.guarantee=exactly-once", "batch.max_wait_ms=5"])

    assert (loaded.settings.batch.max_records, loaded.settings.batch.max_wait_ms) == (300, 5)
    assert "max_records = 300  # environment" in render_settings(loaded)
    assert Settings(batch=BatchSettings(max_records=300)).batch.records == 300


def test_unknown_client_is_one_line_with_the_known_clients(monkeypatch):
    """Otherwise operators would see a traceback, or not learn which clients exist."""
    monkeypatch.setenv("DETECTOR_KAFKA__CLIENT", "aiokafka")

    with pytest.raises(UsageError) as caught:
        load_settings()

    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "DETECTOR_KAFKA__CLIENT=aiokafka (from environment): Input should be 'kafka-python' or 'librdkafka'"
    )


def test_command_with_an_unknown_client_exits_with_2():
    """Otherwise a supervisor would restart a service whose settings cannot work."""
    done = detector("config", DETECTOR_KAFKA__CLIENT="aiokafka")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "detector: DETECTOR_KAFKA__CLIENT=aiokafka (from environment): Input should be 'kafka-python' or 'librdkafka'\n"
    )


def test_printed_default_can_be_read_back(tmp_path):
    """Otherwise the output of `detector config` could not be used as a settings file with exactly-once."""
    loaded = load_settings(overrides=["delivery.guarantee=exactly-once"])
    text = "\n".join(render_settings(loaded))
    (tmp_path / "detector.toml").write_text(text)

    assert tomllib.loads(text)["batch"]["max_records"] == 7_000
    assert load_settings(tmp_path / "detector.toml").settings == loaded.settings
