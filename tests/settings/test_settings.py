"""Where settings come from, and the errors about invalid settings."""

import os
import re
from collections.abc import Sequence

import pytest
from typer.testing import CliRunner

from detector.errors import UsageError
from detector.settings.options import Settings
from detector.settings.sources import load_settings
from detector.settings.toml_output import render_settings
from detector.settings.variables import setting_fields, variable
from tests.helpers import ROOT


def test_precedence_is_command_line_environment_dotenv_secrets_toml_default(tmp_path, monkeypatch):
    """Otherwise a deployment would use another value than its operator set, or `config` would show a wrong origin."""
    name = "kafka.group_id"
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    monkeypatch.setenv("DETECTOR_SECRETS_DIR", str(secrets))
    config = tmp_path / "detector.toml"
    found = []

    def record(overrides: Sequence[str] = ()) -> None:
        loaded = load_settings(config if config.exists() else None, overrides)
        found.append((loaded.settings.kafka.group_id, loaded.origins.get(name, "default")))

    record()
    config.write_text('[kafka]\ngroup_id = "toml"\n')
    record()
    (secrets / "detector_kafka__group_id").write_text("secret")
    record()
    (tmp_path / ".env").write_text("DETECTOR_KAFKA__GROUP_ID=dotenv\nOTHER=1\n")
    record()
    monkeypatch.setenv("DETECTOR_KAFKA__GROUP_ID", "environment")
    record()
    record(["kafka.group_id=command"])

    assert found == [
        ("detector", "default"),
        ("toml", str(config)),
        ("secret", f"secrets in {secrets}"),
        ("dotenv", ".env"),
        ("environment", "environment"),
        ("command", "command line"),
    ]


def test_variables_of_the_compose_file_are_not_settings(tmp_path):
    """Otherwise the command would fail in a folder whose `.env` selects an image for docker-compose.yml."""
    names = set(re.findall(r"\$\{(DETECTOR_\w+)", (ROOT / "docker-compose.yml").read_text()))
    (tmp_path / ".env").write_text("".join(f"{name}=x\n" for name in names))

    assert len(names) > 3
    assert load_settings().settings == Settings()


def test_config_file_can_be_named_in_the_environment(tmp_path, monkeypatch):
    """Otherwise containers, which set DETECTOR_CONFIG instead of an argument, would run with the defaults."""
    (tmp_path / "d.toml").write_text("[batch]\nmax_records = 7\n")
    monkeypatch.setenv("DETECTOR_CONFIG", str(tmp_path / "d.toml"))

    assert load_settings().settings.batch.max_records == 7


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("DETECTOR_KAFKA__GRUOP_ID", "x", r"unknown setting kafka.gruop_id .* did you mean kafka.group_id \(DETECTOR"),
        ("DETECTOR_KAFKAA__GROUP_ID", "x", "did you mean kafka.group_id"),
        ("DETECTOR_NONSENSE__NAME", "x", r"nonsense.name \(DETECTOR_NONSENSE__NAME, from environment\)"),
        ("DETECTOR_MODEL__THRESHOLD", "1.5", r"THRESHOLD=1.5 \(from environment\): Input should be less than"),
        ("DETECTOR_MODEL__THRESHOLD", "-0.1", "greater than or equal to 0"),
        ("DETECTOR_MODEL__THRESHOLD", "nan", "DETECTOR_MODEL__THRESHOLD=nan"),
        ("DETECTOR_MODEL__ENGINE", "jax", "'torch' or 'numpy'"),
        ("DETECTOR_BATCH__MAX_RECORDS", "0", "greater than 0"),
        ("DETECTOR_BATCH__MAX_RECORDS", "many", "valid integer"),
        ("DETECTOR_HTTP__PORT", "70000", "less than or equal to 65535"),
        ("DETECTOR_KAFKA__BOOTSTRAP_SERVERS", "a:b", "'a:b' is not HOST:PORT"),
        ("DETECTOR_KAFKA__BOOTSTRAP_SERVERS", "a:1,,b:2", "'' is not HOST:PORT"),
        ("DETECTOR_KAFKA__ALERTS_TOPIC", "process-events", "must be three different topics"),
        ("DETECTOR_KAFKA__SECURITY_PROTOCOL", "SASL_SSL", "needs sasl_mechanism"),
        ("DETECTOR_KAFKA__SSL_CAFILE", "nowhere.pem", "SSL_CAFILE=nowhere.pem .*: Path does not point to a file"),
        ("DETECTOR_LOG", "debug", "unknown setting log .* did you mean log.level"),
        ("DETECTOR_DELIVERY__GUARANTEE", "at-most-once", "'at-least-once' or 'exactly-once'"),
    ],
)  # fmt: skip
def test_invalid_setting_is_one_line_with_value_and_origin(monkeypatch, name, value, error):
    """Otherwise operators would see a traceback, or not know which value to change and where."""
    monkeypatch.setenv(name, value)

    with pytest.raises(UsageError, match=error) as caught:
        load_settings()
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_unknown_names_in_files_are_errors(tmp_path, monkeypatch):
    """Otherwise production would silently run with a default after a typing error in .env or TOML."""
    (tmp_path / ".env").write_text("DETECTOR_BATCH__MAX_RECORD=5\n")
    with pytest.raises(UsageError, match=r"from .env\); did you mean batch.max_records"):
        load_settings()
    (tmp_path / ".env").unlink()
    (tmp_path / "d.toml").write_text("[batch]\nmax_wait = 5\n")
    with pytest.raises(UsageError, match=r"d.toml\); did you mean batch.max_wait_ms"):
        load_settings(tmp_path / "d.toml")


@pytest.mark.parametrize("text", ["not toml", "[kafka"])
def test_broken_toml_is_one_line(tmp_path, text):
    """Otherwise users would not learn where in the file the error is."""
    (tmp_path / "d.toml").write_text(text)

    with pytest.raises(UsageError, match=r"d.toml: cannot be read as TOML: Expected"):
        load_settings(tmp_path / "d.toml")


def test_missing_files_are_named(tmp_path, monkeypatch):
    """Otherwise production would silently run with the defaults after a typing error in a path."""
    with pytest.raises(UsageError, match="nowhere.toml: no such settings file"):
        load_settings(tmp_path / "nowhere.toml")
    monkeypatch.setenv("DETECTOR_SECRETS_DIR", "nowhere")
    with pytest.raises(UsageError, match="DETECTOR_SECRETS_DIR: nowhere is not a folder"):
        load_settings()
    monkeypatch.delenv("DETECTOR_SECRETS_DIR")
    with pytest.raises(UsageError, match=r"--set nonsense: expected group.name=value"):
        load_settings(overrides=["nonsense"])


def test_empty_variable_is_unset(monkeypatch):
    """Otherwise the service would not start with a compose file that passes an empty string for an unset variable."""
    monkeypatch.setenv("DETECTOR_KAFKA__INSTANCE_ID", "")

    assert load_settings().settings.kafka.instance_id is None


def test_secrets_are_never_shown(monkeypatch, tmp_path):
    """Otherwise a password would appear in logs and on terminals."""
    monkeypatch.setenv("DETECTOR_KAFKA__SASL_PLAIN_PASSWORD", "hunter2")
    loaded = load_settings()
    shown = "\n".join(render_settings(loaded))

    assert "# sasl_plain_password = ********  # environment" in shown
    assert "hunter2" not in shown + repr(loaded.settings) + str(loaded)
    password = loaded.settings.kafka.sasl_plain_password
    assert password is not None
    assert password.get_secret_value() == "hunter2"


def test_config_output_can_be_used_as_config(tmp_path, monkeypatch):
    """Otherwise a service that uses the output of `detector config` would run with other settings."""
    monkeypatch.setenv("DETECTOR_BATCH__MAX_RECORDS", "123")
    monkeypatch.setenv("DETECTOR_MODEL__THRESHOLD", "0.25")
    before = load_settings()
    (tmp_path / "d.toml").write_text("\n".join(render_settings(before)))
    for name in [name for name in os.environ if name.startswith("DETECTOR_")]:
        monkeypatch.delenv(name)

    assert load_settings(tmp_path / "d.toml").settings == before.settings


def test_every_setting_has_one_line_of_help():
    """Otherwise the settings reference, which is generated from the help, would have gaps."""
    for name, field in setting_fields().items():
        assert field.description, name
        assert "\n" not in field.description
        assert variable(name).startswith("DETECTOR_")


def test_constructor_reads_no_environment(monkeypatch):
    """Otherwise programs that use the package would get settings of their environment instead of the defaults."""
    monkeypatch.setenv("DETECTOR_KAFKA__GROUP_ID", "x")

    assert Settings().kafka.group_id == "detector"


def test_help_lists_the_verbs():
    """Otherwise a newcomer's first command would not show what the detector can do."""
    from detector.cli import app

    help_text = CliRunner().invoke(app, ["--help"]).output

    for verb in ("run", "check", "config", "train", "replay", "score", "demo", "broker", "model", "dead-letter"):
        assert verb in help_text
