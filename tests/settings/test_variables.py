"""Which variables and secrets are settings, and which belong to other programs."""

import pytest

from detector.errors import UsageError
from detector.settings import Settings
from detector.settings.sources import load_settings
from tests.helpers import detector

SET_BY_OTHERS = {
    "DETECTOR_SERVICE_HOST": "10.0.0.1",
    "DETECTOR_SERVICE_PORT": "8000",
    "DETECTOR_SERVICE_PORT_HTTP_METRICS": "8000",
    "DETECTOR_PORT": "tcp://10.0.0.1:8000",
    "DETECTOR_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "DETECTOR_PORT_8000_TCP_PROTO": "tcp",
    "DETECTOR_PORT_8000_TCP_PORT": "8000",
    "DETECTOR_PORT_8000_TCP_ADDR": "10.0.0.1",
    "DETECTOR_METRICS_SERVICE_HOST": "10.0.0.1",
    "DETECTOR_METRICS_PORT_53_UDP_ADDR": "10.0.0.1",
    "DETECTOR_KAFKA_SERVICE_HOST": "10.0.0.1",
    "DETECTOR_HTTP_PORT": "tcp://10.0.0.1:8000",
    "DETECTOR_HTTP__BLUE_PORT": "udp://10.0.0.1:8000",
    "DETECTOR__BLUE_SERVICE_PORT": "8000",
    "DETECTOR_NAME": "/web/detector",
    "DETECTOR_ENV_DETECTOR_KAFKA__GROUP_ID": "blue",
    "DETECTOR_CONFIG": "",
    "DETECTOR_SECRETS_DIR": "",
}


def test_variables_that_kubernetes_and_docker_set_are_left_alone(monkeypatch, tmp_path):
    """Otherwise a Service named `detector` in the same namespace would end the daemon."""
    for name, value in SET_BY_OTHERS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in SET_BY_OTHERS.items()))

    loaded = load_settings()

    assert loaded.settings == Settings()
    assert loaded.ignored == ()


@pytest.mark.parametrize("name", ["DETECTOR_NONSENSE", "DETECTOR_PORT", "DETECTOR_HOME", "DETECTOR_ENVIRONMENT"])
def test_variable_without_double_underscore_is_ignored_and_reported(monkeypatch, name):
    """Otherwise a variable of another program would end the daemon, or a mistake would stay unnoticed."""
    monkeypatch.setenv(name, "8000")

    loaded = load_settings()

    assert loaded.settings == Settings()
    assert [(ignored.name, ignored.origin) for ignored in loaded.ignored] == [(name, "environment")]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DETECTOR_KAFKA_GROUP_ID", "DETECTOR_KAFKA__GROUP_ID"),
        ("DETECTOR_KAFKA_GRUOP_ID", "DETECTOR_KAFKA__GROUP_ID"),
        ("DETECTOR_KAFKA__GROUPID", "DETECTOR_KAFKA__GROUP_ID"),
        ("DETECTOR_GROUP_ID", "DETECTOR_KAFKA__GROUP_ID"),
        ("detector_bootstrap_servers", "DETECTOR_KAFKA__BOOTSTRAP_SERVERS"),
        ("DETECTOR_HTTP_PORT", "DETECTOR_HTTP__PORT"),
        ("DETECTOR_HTTPS__PORT", "DETECTOR_HTTP__PORT"),
        ("DETECTOR_LOG", "DETECTOR_LOG__LEVEL"),
        ("DETECTOR__KAFKA__GROUP_ID", "DETECTOR_KAFKA__GROUP_ID"),
        ("DETECTOR_KAFKA__GROUP_ID__X", "DETECTOR_KAFKA__GROUP_ID"),
    ],
)
@pytest.mark.parametrize("source", ["environment", ".env", "secrets"])
def test_typing_error_in_a_name_suggests_the_setting(monkeypatch, tmp_path, secrets, name, meant, source):
    """Otherwise production would run with a default after a typing error."""
    if source == "environment":
        monkeypatch.setenv(name, "8000")
    elif source == ".env":
        (tmp_path / ".env").write_text(f"{name}=8000\n")
    else:
        (secrets / name).write_text("8000\n")

    with pytest.raises(UsageError, match=rf"unknown setting .*, from {source}.*\); did you mean .* \({meant}\)\?$"):
        load_settings()


def test_metrics_are_not_written_into_the_files_of_another_program(tmp_path):
    """Otherwise the service would not start, or mix its metrics with those of a web server with many processes."""
    done = detector("--set", "http.port=0", "run", cwd=tmp_path, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))

    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("detector: models/current: no such model folder")
    assert list(tmp_path.iterdir()) == []
