"""What `detector config` prints can be read back, and says which settings have no effect."""

import math
import tomllib
from pathlib import Path

import pytest

from detector.errors import UsageError
from detector.settings.sources import load_settings
from detector.settings.toml_output import render_settings
from tests.helpers import detector

ODD_TEXTS = ["C:\\models\\new", 'a"b"c', "a\nb\r\tc", "\x01\x1f\x7f\x85\u2028.", "ü😀", "a # b", "'''a\"\"\"", "a\\"]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_every_text_can_be_read_back(tmp_path, text):
    """Otherwise the service could not start with the output of `detector config`, or would use another path."""
    before = load_settings(overrides=[f"model.path={text}", f"kafka.sasl_plain_username={text}"])
    printed = "\n".join(render_settings(before))
    file = tmp_path / 'se"t\\ti\nngs.toml'
    file.write_text(printed, encoding="utf-8")

    after = load_settings(file)

    assert after.settings == before.settings
    assert after.settings.model.path == Path(text)
    assert tomllib.loads("\n".join(render_settings(after))) == tomllib.loads(printed)


@pytest.mark.parametrize("number", ["inf", "1e-07", "1e+22", "20"])
def test_every_number_can_be_read_back(number):
    """Otherwise the output of `detector config` would not be TOML."""
    printed = "\n".join(render_settings(load_settings(overrides=[f"shutdown.timeout_s={number}"])))

    assert math.isclose(tomllib.loads(printed)["shutdown"]["timeout_s"], float(number))


def test_config_prints_utf8_in_every_locale(tmp_path):
    """Otherwise the command would fail in a locale without the characters of a path."""
    environment = {"DETECTOR_MODEL__PATH": "ü😀", "PYTHONIOENCODING": "ascii"}

    done = detector("config", cwd=tmp_path, **environment)

    assert (done.returncode, done.stderr) == (0, "")
    assert 'path = "ü😀"  # environment' in done.stdout


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("ssl_check_hostname=false", "no effect with DETECTOR_KAFKA__SECURITY_PROTOCOL=PLAINTEXT, which has no TLS"),
        (f"ssl_cafile={__file__}", "no effect with DETECTOR_KAFKA__SECURITY_PROTOCOL=PLAINTEXT, which has no TLS"),
        ("sasl_plain_username=u", "no effect with DETECTOR_KAFKA__SECURITY_PROTOCOL=PLAINTEXT, which has no login"),
        ("sasl_plain_password=p", "no effect with DETECTOR_KAFKA__SECURITY_PROTOCOL=PLAINTEXT, which has no login"),
    ],
)
def test_setting_of_another_security_protocol_is_reported(override, reason):
    """Otherwise a user would believe that the connection is encrypted, or that a login is used."""
    (ignored,) = load_settings(overrides=[f"kafka.{override}"]).ignored

    assert ignored.name == f"DETECTOR_KAFKA__{override.partition('=')[0].upper()}"
    assert ignored.origin == "command line"
    assert ignored.reason.startswith(reason)


def test_setting_of_another_mechanism_is_reported():
    """Otherwise a user would look for the fault in a principal that is not used."""
    login = ["security_protocol=SASL_SSL", "sasl_mechanism=PLAIN", "sasl_plain_username=u", "sasl_plain_password=p"]

    loaded = load_settings(overrides=[f"kafka.{each}" for each in [*login, "sasl_kerberos_name=detector"]])

    assert [ignored.name for ignored in loaded.ignored] == ["DETECTOR_KAFKA__SASL_KERBEROS_NAME"]


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_mechanism_without_sasl_is_an_error(protocol):
    """Otherwise the service would connect without a login although one is chosen."""
    overrides = [f"kafka.security_protocol={protocol}", "kafka.sasl_mechanism=GSSAPI"]

    with pytest.raises(UsageError, match=f"GSSAPI has no effect with security_protocol {protocol}: set DETECTOR"):
        load_settings(overrides=overrides)


def test_printed_defaults_are_not_reported(tmp_path):
    """Otherwise each start with the output of `detector config` would log settings that nobody has changed."""
    (tmp_path / "d.toml").write_text("\n".join(render_settings(load_settings())))

    assert load_settings(tmp_path / "d.toml").ignored == ()


def test_command_logs_what_has_no_effect(tmp_path):
    """Otherwise an operator would not see that a variable is not used."""
    done = detector("config", cwd=tmp_path, DETECTOR_NONSENSE="1")

    assert done.returncode == 0
    assert '"event": "setting_ignored"' in done.stderr
    assert '"name": "DETECTOR_NONSENSE"' in done.stderr
