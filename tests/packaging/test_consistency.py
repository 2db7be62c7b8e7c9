"""Facts that are stated in several files of the repository agree."""

import os
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

import detector
from tests.helpers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = ROOT / ".github" / "workflows"


@pytest.fixture(scope="module")
def image_python():
    """The minor version of Python that the images use."""
    dockerfile = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
    (version,) = re.findall(r"^ARG PYTHON=(\d+\.\d+)\.\d+$", dockerfile, flags=re.MULTILINE)
    return version


@pytest.fixture(scope="module")
def tested_pythons():
    workflow = yaml.safe_load((WORKFLOWS / "test.yml").read_text())
    return workflow["jobs"]["test"]["strategy"]["matrix"]["python"]


def test_the_tests_run_on_the_python_of_the_images(image_python, tested_pythons):
    """Otherwise the deployed images could fail although all tests pass."""
    if not shutil.which("make"):
        pytest.skip("no make here")
    command = ["make", "--silent", "--eval", "chosen: ; @echo $(IMAGE_PYTHON) $(PYTHON)", "chosen"]
    # `make test PYTHON=...` sets these variables, which would override the Makefile's own choice.
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHON", "MAKEFLAGS", "MAKEOVERRIDES"}}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=True)

    wanted, chosen = done.stdout.split()
    assert wanted == f"python{image_python}"
    installed = (
        subprocess.run([wanted, "--version"], capture_output=True, check=False) if shutil.which(wanted) else None
    )
    assert chosen == (wanted if installed and installed.returncode == 0 else "python3")
    assert image_python in tested_pythons


def test_every_supported_python_is_tested(tested_pythons):
    """Otherwise the package could stop working on a supported version of Python without anybody noticing."""
    claimed = [line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if "Python :: 3." in line]

    assert tested_pythons == claimed
    assert PROJECT["requires-python"] == f">={claimed[0]}"


def test_the_changelog_starts_with_this_version():
    """Otherwise users could not look up what a release changes."""
    versions = re.findall(r"^## \[(.+?)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)

    assert versions[0] == detector.__version__
