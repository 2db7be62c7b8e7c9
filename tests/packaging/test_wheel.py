"""The built wheel, used as its users do: outside of the checkout, without a file of the repository."""

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

SAMPLE = "local/sample/beth-train-head12500.csv"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A new environment with the wheel; the dependencies are those of this one, whose own `detector` it cannot see."""
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
    """Runs the installed command in an empty folder and returns its standard output."""
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
    """The bundled sample as the wheel brought it."""
    package = next(environment.glob("lib/python*/site-packages/detector"))
    assert not package.is_relative_to(ROOT)
    return package / SAMPLE


def test_version(run):
    """The installed command says which release it is; here it also shows that it is not the checkout's that answers."""
    assert run("--version").split()[-1] == detector.__version__


def test_train_and_score(run, sample, tmp_path):
    """Whoever installed the package can train a model and score with it; there is no train.py in a wheel."""
    run("train", sample, "--output", "models", "--epochs", "2")
    printed = run("score", sample, "--output", "scores.csv", settings={"DETECTOR_MODEL__PATH": "models/current"})

    assert "recall" in printed
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + 12_500


def test_demo(run):
    """The first thing that a newcomer tries after `pip install`: broker, model and sample all come with the package."""
    printed = run("demo")

    assert "every event accounted for" in printed
    assert printed.splitlines()[-1].startswith("events 12500, scored 12500, dead-lettered 0, alerts ")
    assert printed.splitlines()[-1].endswith(", lost 0")


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    """Otherwise tests or tools in a wheel would be installed as packages of everybody's environment."""
    names = zipfile.ZipFile(wheel).namelist()

    assert {Path(name).parts[0] for name in names} == {"detector", f"detector-{detector.__version__}.dist-info"}
    assert {"detector/py.typed", f"detector/{SAMPLE}"} <= set(names)
