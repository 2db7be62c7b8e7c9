"""`train.py`: what it writes and prints, and its exit codes."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from detector.local.demo import SAMPLE
from detector.model.folder import CURRENT, load_model
from detector.service.scoring import Scorer
from detector.settings import ModelSettings
from detector.training.command import app
from detector.training.recipes import DEFAULT
from tests.helpers import ROOT
from tests.training.beth_rows import beth_csv


@contextmanager
def _running_training(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """`train.py` in a process of its own, which is killed if it still runs at the end of the block."""
    with subprocess.Popen(
        [sys.executable, ROOT / "train.py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_command_writes_a_version_and_makes_it_current(trained_by_command):
    """Otherwise the README's command would not give users a report, or a model that the service can load."""
    printed, version = trained_by_command
    assert 1 < printed.count("\nepoch ") <= DEFAULT.epochs
    for split in ("train ", "validation ", "test "):
        assert split in printed
    assert (version.parent / CURRENT).is_symlink()
    assert sorted(file.name for file in version.iterdir()) == [
        "manifest.json",
        "report.html",
        "report.json",
        "training-loss.png",
        "weights.safetensors",
    ]
    assert (version / "training-loss.png").read_bytes().startswith(b"\x89PNG")
    Scorer.load(ModelSettings(path=version))
    manifest = json.loads((version / "manifest.json").read_text())
    assert manifest["training"]["files"] == [
        {
            "name": SAMPLE.name,
            "sha256": "55d6c2161ba80ee1158a897febf0683a02a924513de8a345194078acba430e06",
            "published_as": "the bundled sample of BETH",
            "rows": 12500,
            "positives": 273,
            "unlabelled": 0,
        }
    ]
    report = json.loads((version / "report.json").read_text())
    assert report["metrics"] == manifest["metrics"]
    assert report["robustness"] == manifest["robustness"]
    for baseline in (
        "majority class",
        "userId >= 1000",
        "logistic regression",
        "isolation forest",
        "seed recipe, median of 5 runs",
    ):
        assert f"\n{baseline} " in printed
        assert set(report["baselines"][baseline]) == {"validation", "test"}


def test_missed_target_is_exit_1_and_leaves_no_current_model(tmp_path):
    """Otherwise scripts could not see that a model is too bad, and the service would use it."""
    command = "--recipe", "seed", "--epochs", "20", "--target-accuracy", "0.6", "--seed", "1"
    done = CliRunner().invoke(app, (str(SAMPLE), "--output", str(tmp_path), *command))

    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("epoch")] == ["10/20", "20/20"]
    accuracy = dict(re.findall(r"^(\w+) accuracy: (\S+)$", done.stdout, re.MULTILINE))
    manifest = load_model(next(path for path in tmp_path.iterdir() if path.is_dir())).manifest
    assert {name.lower() for name in accuracy} == {"training", "validation", "testing"}
    assert float(accuracy["Validation"]) == pytest.approx(manifest.metrics["validation"]["accuracy"], abs=1e-4)
    assert float(accuracy["Validation"]) < 0.6
    assert done.exit_code == 1
    assert "Target missed: validation accuracy is 0." in done.stdout
    assert not (tmp_path / CURRENT).exists()


def test_ctrl_c_keeps_the_model_trained_so_far(tmp_path):
    """Otherwise users who press Ctrl-C would lose hours of training."""
    small = tmp_path / "small.csv"
    small.write_text(beth_csv(600, 200))
    options = "--output", tmp_path, "--recipe", "seed", "--epochs", 1_000_000, "--force"
    with _running_training(small, *options) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=90)

    assert process.returncode == 0
    interrupted = re.search(r"Training was interrupted after epoch (\d+)\nKept the last epoch: (\d+) of (\d+)", rest)
    assert interrupted
    assert len(set(interrupted.groups())) == 1
    epochs = int(interrupted[1])
    manifest = load_model(tmp_path / CURRENT).manifest
    assert manifest.training["interrupted"] is True
    assert manifest.training["epochs"] == epochs
    assert f"--epochs {epochs} " in manifest.training["command"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nowhere"], "detector: nowhere: no such file or folder"),
        ([SAMPLE, "--recipe", "best"], "'best' is not one of"),
        ([SAMPLE, "--threshold", "f1"], "threshold rule 'f1': expected best-f1, precision>=P"),
        ([SAMPLE, "--recipe", "seed", "--threshold", "precision>=1"], "no threshold meets it"),
    ],
)
def test_wrong_usage_is_exit_2(arguments, error, monkeypatch, capsys):
    """Otherwise scripts could not tell wrong usage from a missed target."""
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")

    assert ended.value.code == 2
    assert error in capsys.readouterr().err
