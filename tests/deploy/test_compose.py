"""The compose files and the Dockerfile, as far as they can be judged without an engine."""

import shutil
import subprocess
import sys

import pytest
import yaml

from detector.settings_sources import setting_fields, variable
from tests.deploy.queries import DEPLOY, ROOT

FILE = ROOT / "docker-compose.yml"
TLS = ROOT / "docker-compose.tls.yml"


def _services():
    """All services of both files, each as the file says that brings it in."""
    tls, plain = (yaml.safe_load(path.read_text())["services"] for path in (TLS, FILE))
    merged = {name: plain.get(name, {}) | tls.get(name, {}) for name in plain | tls}
    return {name: service for name, service in merged.items() if "image" in service}


@pytest.mark.parametrize("files", [[FILE], [FILE, TLS]], ids=["plain", "tls"])
@pytest.mark.parametrize("command", [["docker", "compose"], ["docker-compose"]], ids=["v2", "v1"])
def test_compose_takes_the_files(command, files):
    """Both generations of Compose read them."""
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


def test_every_service_is_restricted():
    """A hole in one container is not a hole in the machine."""
    for name, service in _services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ())), name


def test_every_image_is_pinned_to_a_version():
    """Tomorrow's `latest` is not what was tested."""
    for name, service in _services().items():
        tag = service["image"].partition(":")[2]
        assert tag not in ("", "latest"), name


def test_settings_in_the_compose_files_exist():
    """A name that is spelled wrong would end the detector at its start, with exit code 2."""
    known = {variable(name) for name in setting_fields()}
    for path in (FILE, TLS):
        for name, service in yaml.safe_load(path.read_text())["services"].items():
            used = {key for key in service.get("environment", {}) if key.startswith("DETECTOR_")}
            assert used <= known, (path.name, name)


def test_requirements_leave_out_what_they_should():
    """The slim image is installed from this list: torch in it would make it fifty times as large."""
    script = DEPLOY / "docker" / "requirements.py"
    done = subprocess.run(
        [sys.executable, str(script), "--without", "torch", "train"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    names = done.stdout.split("\n")
    assert any(name.startswith("numpy") for name in names)
    assert any(name.startswith("pandas") for name in names)
    assert not any(name.startswith("torch>") for name in names)
