"""The compose files and the Dockerfile, as far as they can be checked without a container engine."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from detector.settings.variables import setting_fields, variable
from tests.deploy.queries import ROOT

FILE = ROOT / "docker-compose.yml"
TLS = ROOT / "docker-compose.tls.yml"


def _services() -> dict[str, dict[str, Any]]:
    """The services of both compose files: those of the TLS file override the plain ones."""
    tls, plain = (yaml.safe_load(path.read_text())["services"] for path in (TLS, FILE))
    merged: dict[str, dict[str, Any]] = {name: plain.get(name, {}) | tls.get(name, {}) for name in plain | tls}
    return {name: service for name, service in merged.items() if "image" in service}


@pytest.mark.parametrize("files", [[FILE], [FILE, TLS]], ids=["plain", "tls"])
@pytest.mark.parametrize("command", [["docker", "compose"], ["docker-compose"]], ids=["v2", "v1"])
def test_compose_accepts_the_files(command: list[str], files: list[Path]) -> None:
    """Otherwise `docker compose up` would fail, perhaps only with Compose v1 or only with TLS."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    if subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
        pytest.skip(f"{' '.join(command)} is not installed")
    chosen = [part for file in files for part in ("-f", str(file))]
    done = subprocess.run(
        [*command, *chosen, "config", "-q"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_every_service_is_restricted() -> None:
    """Otherwise a vulnerability in one container could give access to the whole machine."""
    for name, service in _services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ())), name


def test_every_image_is_pinned_to_a_version() -> None:
    """Otherwise the stack would run versions that nobody has tested together, because `latest` changes."""
    for name, service in _services().items():
        tag = service["image"].partition(":")[2]
        assert tag not in ("", "latest"), name


def test_settings_in_the_compose_files_exist() -> None:
    """Otherwise a misspelled setting would stop the detector at start with exit code 2."""
    known = {variable(name) for name in setting_fields()}
    for path in (FILE, TLS):
        for name, service in yaml.safe_load(path.read_text())["services"].items():
            used = {key for key in service.get("environment", {}) if key.startswith("DETECTOR_")}
            assert used <= known, (path.name, name)
