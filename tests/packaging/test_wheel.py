"""The built wheel, used outside of the checkout and without any file of the repository."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import detector
from tests.helpers import ROOT

NUMPY = {"DETECTOR_MODEL__PATH": "models/current", "DETECTOR_MODEL__ENGINE": "numpy"}
SAMPLE = "local/sample/beth-train-head12500.csv"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A new environment with the wheel, which uses this one's dependencies but cannot see its `detector`."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    install = ["uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--python", f"{folder}/bin/python", wheel]
    subprocess.run([sys.executable, "-m", *install], check=True, capture_output=True, text=True)
    site_packages = next(folder.glob("lib/python*/site-packages"))
    # Python searches the folder that a .pth file names but ignores its .pth files, and so the editable install there.
    (site_packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder


@pytest.fixture
def run(environment, tmp_path, monkeypatch):
    """A function that runs the installed command in an empty folder and returns its standard output."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def command(*arguments, settings=None):
        done = subprocess.run(
            [environment / "bin" / "detector", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PATH": path} | (settings or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


@pytest.fixture
def sample(environment):
    """The bundled sample as it is installed from the wheel."""
    package = next(environment.glob("lib/python*/site-packages/detector"))
    assert not package.is_relative_to(ROOT)
    return package / SAMPLE


def test_installed_command_prints_its_version(run):
    """Otherwise users could not see which release is installed, and these tests might run the checkout instead."""
    assert run("--version").split()[-1] == detector.__version__


def test_installed_command_trains_and_scores(run, sample, tmp_path):
    """Otherwise users of the package, which has no train.py, could not train a model or score with it."""
    run("train", sample, "--output", "models", "--epochs", "2")
    printed = run("score", sample, "--output", "scores.csv", settings=NUMPY)

    assert "recall" in printed
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + 12_500


def test_installed_command_runs_the_demo(run):
    """Otherwise the first command that a newcomer tries after `pip install` would fail."""
    printed = run("demo")

    assert "every event accounted for" in printed
    assert printed.splitlines()[-1].startswith("events 12500, scored 12500, dead-lettered 0, alerts ")
    assert printed.splitlines()[-1].endswith(", lost 0")


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    """Otherwise everybody who installs the package would also install its tests or tools."""
    names = zipfile.ZipFile(wheel).namelist()

    assert {Path(name).parts[0] for name in names} == {"detector", f"detector-{detector.__version__}.dist-info"}
    assert {"detector/py.typed", f"detector/{SAMPLE}"} <= set(names)
