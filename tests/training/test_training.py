"""Training: what comes out, and what is refused."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from detector.errors import UsageError
from detector.local.demo import SAMPLE
from detector.model.folder import CURRENT, load_model
from detector.service.scoring import Scorer
from detector.settings import ModelSettings
from detector.training.data import load_data
from detector.training.evaluation import evaluate
from detector.training.fit import fit
from detector.training.recipes import DEFAULT, SEED

ROOT = Path(__file__).parents[2]
HEADER = "processId,threadId,parentProcessId,userId,mountNamespace,argsNum,returnValue,sus_label"


def train_command(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=100,
        check=False,
    )


def rows(number, positives, user=0):
    lines = [f"{i},{i},1,{1000 if i < positives else user},4026531840,2,0,{int(i < positives)}" for i in range(number)]
    return "\n".join([HEADER, *lines]) + "\n"


@pytest.fixture(scope="module")
def data():
    return load_data(SAMPLE, seed=0)


def test_sample_trains_in_under_20_seconds_of_one_core(data):
    """A newcomer waits for this in the demo."""
    started = time.process_time()
    fit(DEFAULT, data, seed=0)

    assert time.process_time() - started < 20


def test_default_recipe_does_not_hang_on_the_seed(data):
    """Average precision on rows that were not trained on, for several seeds; the notebooks' loop is a lottery."""
    measured = []
    for seed in range(3):
        network = fit(DEFAULT, data, seed).network
        from detector.model.engines import build_engine

        scores = build_engine("numpy", network).score(data.test.features)
        measured.append(evaluate(scores, data.test.labels, DEFAULT.threshold))

    assert min(m["auroc"] for m in measured) > 0.99
    assert min(m["average_precision"] for m in measured) > 0.95
    assert min(m["f1"] for m in measured) > 0.9


def test_same_seed_gives_the_same_weights(data):
    """A model can be made again, bit for bit."""
    one, two = (fit(DEFAULT, data, seed=7).network for _ in range(2))

    for left, right in zip(one.members[0], two.members[0], strict=True):
        assert np.array_equal(left.weight, right.weight)
        assert np.array_equal(left.bias, right.bias)
    assert np.array_equal(one.mean, two.mean)


def test_seed_recipe_is_the_notebooks_loop(data):
    """50 full-batch epochs: one step each, on all rows at once."""
    fitted = fit(SEED, data, seed=0)

    assert [epoch.number for epoch in fitted.epochs] == list(range(1, 51))
    assert fitted.layers == [7, 10, 1]
    assert fitted.epochs[0].loss > fitted.epochs[-1].loss > 0.3


def test_command_writes_a_version_and_makes_it_current(tmp_path):
    """The README's command: progress, metrics for each split, the plot, and a model that the service accepts."""
    done = train_command(SAMPLE, "--output", tmp_path / "models")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nepoch ") == DEFAULT.epochs
    for split in ("train ", "validation ", "test "):
        assert split in done.stdout
    current = tmp_path / "models" / CURRENT
    version = current.resolve()
    assert current.is_symlink()
    assert sorted(file.name for file in version.iterdir()) == [
        "manifest.json",
        "training-loss.png",
        "weights.safetensors",
    ]
    assert (version / "training-loss.png").read_bytes().startswith(b"\x89PNG")
    Scorer.load(ModelSettings(path=current))
    manifest = json.loads((version / "manifest.json").read_text())
    assert manifest["training"]["files"] == [
        {
            "name": SAMPLE.name,
            "sha256": "55d6c2161ba80ee1158a897febf0683a02a924513de8a345194078acba430e06",
            "rows": 12500,
            "positives": 273,
        }
    ]


def test_missed_target_is_said_and_not_made_current(tmp_path):
    """The notebooks' second system missed its target; here that is an exit code, not a shrug."""
    done = train_command(SAMPLE, "--output", tmp_path, "--recipe", "seed", "--target-accuracy", "0.999")

    assert done.returncode == 1
    assert "missed the target: validation accuracy 0." in done.stdout
    assert not (tmp_path / CURRENT).exists()
    (version,) = (path for path in tmp_path.iterdir() if path.is_dir())
    load_model(version)


def test_folder_of_three_splits(tmp_path):
    """Both layouts of file names are found, and each file is named in the manifest."""
    for names in (
        ("labelled_train.csv", "labelled_validation.csv", "labelled_test.csv"),
        ("labelled_training_data.csv", "labelled_validation_data.csv", "labelled_testing_data.csv"),
    ):
        folder = tmp_path / names[0]
        folder.mkdir()
        for name, number in zip(names, (30, 20, 10), strict=True):
            (folder / name).write_text(rows(number, 5))
        loaded = load_data(folder, seed=0)

        assert [len(split) for split in loaded.splits().values()] == [30, 20, 10]
        assert [file.name for file in loaded.files] == list(names)


def test_single_file_is_split_with_both_labels_in_every_part():
    """Stratified, and no row in two splits."""
    loaded = load_data(SAMPLE, seed=3)

    assert [len(split) for split in loaded.splits().values()] == [7500, 2500, 2500]
    assert [int(split.labels.sum()) for split in loaded.splits().values()] == [164, 54, 55]


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({}, r"no BETH splits there: want .*; found nothing"),
        ({"labelled_train.csv": rows(9, 3)}, "labelled_validation.csv, labelled_test.csv missing"),
        ({"one.csv": rows(9, 0)}, "one.csv: every one of its 9 rows is benign: both labels are needed"),
        ({"one.csv": rows(9, 9)}, "every one of its 9 rows is suspicious"),
        ({"one.csv": HEADER + "\n"}, "one.csv: no rows"),
        ({"one.csv": rows(5, 1)}, "too few rows to split"),
        (
            {"one.csv": rows(9, 3).replace(",2,0,1", ",2,x,1", 1)},
            r"one.csv:2: column returnValue: 'x' is not an integer",
        ),
        ({"one.csv": "a,b\n"}, "missing columns"),
    ],
)
def test_data_that_cannot_be_trained_on_is_one_line(tmp_path, files, error):
    """Exit 2, with the file and the reason."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    path = tmp_path / "one.csv" if "one.csv" in files else tmp_path

    with pytest.raises(UsageError, match=error):
        load_data(path, seed=0)


def test_constant_feature_does_no_harm(tmp_path):
    """A column with one value has no deviation to divide by."""
    (tmp_path / "one.csv").write_text(rows(60, 20))
    fitted = fit(SEED, load_data(tmp_path / "one.csv", seed=0), seed=0)

    assert (fitted.network.scale > 0).all()
    assert np.isfinite(fitted.epochs[-1].loss)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nowhere"], "detector: nowhere: no such file or folder"),
        ([SAMPLE, "--recipe", "best"], "'best' is not one of"),
    ],
)
def test_wrong_usage_is_exit_2(arguments, error):
    """Scripts can tell wrong usage from a missed target."""
    done = train_command(*arguments)

    assert done.returncode == 2
    assert error in done.stderr
