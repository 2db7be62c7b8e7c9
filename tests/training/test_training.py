"""Training: what comes out, and what is refused."""

import hashlib
import inspect
import io
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from detector.errors import UsageError
from detector.events.csv_rows import read_rows
from detector.local.demo import SAMPLE
from detector.model.describe import verify
from detector.model.engines import NumpyEngine
from detector.model.folder import CURRENT, load_model, weights_content
from detector.records import FEATURES
from detector.service.scoring import Scorer
from detector.settings import ModelSettings
from detector.training.command import app
from detector.training.data import Split, load_data
from detector.training.evaluation import evaluate
from detector.training.fit import Epoch, Fitted, fit
from detector.training.gate import Targets, missed, worse_than_current
from detector.training.progress import epoch_progress
from detector.training.published import identify
from detector.training.recipes import DEFAULT, SEED
from detector.training.threshold import choose_threshold
from detector.training.train import train
from tests.helpers import ROOT

VALIDATION_ROWS = ROOT / "tests" / "data" / "kaggle_validation_head100.csv"
HEADER = "processId,threadId,parentProcessId,userId,mountNamespace,argsNum,returnValue,sus_label"


def rows(number, positives, user=0):
    lines = [f"{i},{i},1,{1000 if i < positives else user},4026531840,2,0,{int(i < positives)}" for i in range(number)]
    return "\n".join([HEADER, *lines]) + "\n"


@pytest.fixture(scope="module")
def data():
    return load_data(SAMPLE, seed=0)


class Run(NamedTuple):
    """The default recipe with one seed."""

    fitted: Fitted
    engine: NumpyEngine
    threshold: float
    cpu_s: float


@pytest.fixture(scope="module")
def seeds(data):
    """The default recipe with ten seeds."""
    runs = []
    for seed in range(10):
        started = time.process_time()
        fitted = fit(DEFAULT, data, seed)
        cpu_s = time.process_time() - started
        engine = NumpyEngine(fitted.network)
        validation = engine.score(data.validation.features)
        threshold = choose_threshold(DEFAULT.threshold, validation, data.validation.labels).value
        runs.append(Run(fitted, engine, threshold, cpu_s))
    return runs


def test_sample_trains_in_under_20_seconds_of_one_core(seeds):
    """A newcomer waits for this in the demo."""
    assert max(run.cpu_s for run in seeds) < 20


def measures(runs, rows):
    return [evaluate(run.engine.score(rows.features), rows.labels, run.threshold) for run in runs]


def test_default_recipe_does_not_hang_on_the_seed(seeds, data):
    """On rows that were not trained on; the notebooks' loop is a lottery."""
    measured = measures(seeds, data.test)

    assert np.std([m["average_precision"] for m in measured]) <= 0.005
    assert min(m["auroc"] for m in measured) > 0.99
    assert min(m["average_precision"] for m in measured) > 0.98
    assert min(m["f1"] for m in measured) > 0.95


def test_default_recipe_is_good_on_another_split(seeds):
    """Real rows of the validation split: another host, other ids, and suspicious rows of a kind never seen."""
    rows = list(read_rows(VALIDATION_ROWS))
    features = np.array([[row.event[name] for name in FEATURES] for row in rows], dtype=np.float64)
    split = Split(features, np.array([row.label for row in rows], dtype=np.float32))
    measured = measures(seeds, split)

    assert split.labels.sum() == 4
    assert min(m["auroc"] for m in measured) >= 0.99
    assert min(m["f1"] for m in measured) >= 0.968


@settings(max_examples=50, deadline=None)
@given(row=st.integers(0, 7_499), higher=st.integers(1, 2**40), seed=st.integers(0, 9))
def test_higher_user_id_never_lowers_the_score(seeds, data, row, higher, seed):
    """Training saw no ordinary user: what the network makes of one must not be an accident of its weights."""
    run = seeds[seed]
    event = data.train.features[row]
    other = event.copy()
    other[3] += higher
    score, of_higher = run.engine.score(np.array([event, other]))

    assert of_higher >= score - 1e-6
    if other[3] >= 1000:
        assert of_higher >= run.threshold


def test_mount_namespace_of_another_host_is_no_reason_to_alert(seeds, data):
    """Its number says in which order a kernel made things; on another host it differs for every event."""
    here = data.test.features[data.test.labels == 0]
    elsewhere = here.copy()
    elsewhere[:, 4] += 377

    for run in seeds:
        before, after = ((run.engine.score(rows) >= run.threshold).mean() for rows in (here, elsewhere))
        assert after <= before + 0.002


def test_same_seed_gives_the_same_weights(seeds, data):
    """A model can be made again, bit for bit."""
    one, two = seeds[7].fitted.network, fit(DEFAULT, data, seed=7).network

    for left, right in zip(one.members[0], two.members[0], strict=True):
        assert np.array_equal(left.weight, right.weight)
        assert np.array_equal(left.bias, right.bias)
    assert np.array_equal(one.mean, two.mean)


def test_seed_recipe_is_the_notebooks_loop(data):
    """50 full-batch epochs: one step each, on all rows at once."""
    fitted = fit(SEED, data, seed=0)

    assert [epoch.number for epoch in fitted.epochs] == list(range(1, 51))
    assert fitted.layers == [7, 10, 1]
    assert fitted.kept is fitted.epochs[-1]
    assert fitted.epochs[0].loss > fitted.epochs[-1].loss > 0.3


def test_command_writes_a_version_and_makes_it_current(trained_by_command):
    """The README's command: progress, metrics for each split, the report, and a model that the service accepts."""
    said, version = trained_by_command
    assert 1 < said.count("\nepoch ") <= DEFAULT.epochs
    for split in ("train ", "validation ", "test "):
        assert split in said
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
        }
    ]
    report = json.loads((version / "report.json").read_text())
    assert report["metrics"] == manifest["metrics"]
    assert report["robustness"] == manifest["robustness"]
    for baseline in (
        "majority",
        "userId >= 1000",
        "logistic regression",
        "isolation forest",
        "seed recipe, median of 5",
    ):
        assert f"\n{baseline} " in said
        assert set(report["baselines"][baseline]) == {"validation", "test"}


def test_second_notebook_misses_its_target(tmp_path):
    """20 epochs of full batches are 20 steps: "did not achieve the target accuracy" is an exit code now."""
    command = "--recipe", "seed", "--epochs", "20", "--target-accuracy", "0.6", "--seed", "1"
    done = CliRunner().invoke(app, (str(SAMPLE), "--output", str(tmp_path), *command))

    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("epoch")] == ["10/20", "20/20"]
    accuracy = dict(re.findall(r"^(\w+) accuracy: (\S+)$", done.stdout, re.MULTILINE))
    manifest = load_model(next(path for path in tmp_path.iterdir() if path.is_dir())).manifest
    assert {name.lower() for name in accuracy} == {"training", "validation", "testing"}
    assert float(accuracy["Validation"]) == pytest.approx(manifest.metrics["validation"]["accuracy"], abs=1e-4)
    assert float(accuracy["Validation"]) < 0.6
    assert done.exit_code == 1
    assert "missed the target: validation accuracy 0." in done.stdout
    assert not (tmp_path / CURRENT).exists()


def test_target_for_average_precision(tmp_path, models):
    """The measure that a rare label asks for."""
    manifest = load_model(models / CURRENT).manifest
    reached = manifest.metrics["validation"]["average_precision"]

    assert not list(missed(manifest, Targets(accuracy=0.9, average_precision=reached)))
    (reason,) = missed(manifest, Targets(average_precision=1.01))
    assert "validation average precision 0.9" in reason


def test_worse_model_does_not_replace_the_current_one(models, tmp_path):
    """Judged on the same rows; `--force` does it all the same."""
    folder = shutil.copytree(models, tmp_path / "models", symlinks=True)
    good = (folder / CURRENT).resolve()
    seeded = (str(SAMPLE), "--output", str(folder), "--recipe", "seed")

    worse = CliRunner().invoke(app, seeded)

    assert worse.exit_code == 1
    assert f"worse than the current model {good.name} on the same validation rows: average precision" in worse.stdout
    assert (folder / CURRENT).resolve() == good
    assert CliRunner().invoke(app, (*seeded, "--force", "--epochs", "49")).exit_code == 0
    assert (folder / CURRENT).resolve() != good


def test_another_split_is_no_comparison(models, tmp_path):
    """A model that was trained on rows which the other is judged on would always look better."""
    seeded = train(SEED, load_data(SAMPLE, seed=1), tmp_path, seed=1)

    assert not list(worse_than_current(seeded.manifest, models))


def test_test_split_takes_no_part(seeds, data):
    """Neither weights nor threshold know of it: other test rows give the same ones, to the byte."""
    random = np.random.default_rng(0)
    rows = random.integers(-(2**40), 2**40, data.test.features.shape).astype(np.float64)
    other = replace(data, test=Split(rows, random.permutation(data.test.labels)))
    one, two = seeds[0].fitted, fit(DEFAULT, other, seed=0)

    assert weights_content(one.network) == weights_content(two.network)
    assert one.epochs == two.epochs
    assert "test" not in inspect.signature(choose_threshold).parameters


def test_same_command_gives_the_same_bytes(trained_by_command, seeds):
    """Another process, the same weights to the byte; and verify says how to repeat them."""
    version = trained_by_command[1]

    assert weights_content(seeds[0].fitted.network) == (version / "weights.safetensors").read_bytes()
    said = "\n".join(line for _, line in verify(version))
    assert re.search(
        r"repeat     python train.py DATA --recipe default --seed 0 --epochs \d+ --threshold 'best-f1'", said
    )


def test_ctrl_c_keeps_the_best_epoch_so_far(tmp_path):
    """An evening's training is not lost to an impatient minute."""
    few = tmp_path / "few.csv"
    few.write_text(rows(600, 200))
    process = subprocess.Popen(
        [sys.executable, ROOT / "train.py", few, "--output", tmp_path, "--recipe", "seed", "--epochs", "1000000"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    lines = iter(process.stdout.readline, "")
    next(line for line in lines if line.startswith("epoch"))
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=90)[0]

    assert process.returncode == 0
    epochs = int(re.search(r"stopped by Ctrl-C after epoch (\d+); the best so far is kept", rest)[1])
    manifest = load_model(tmp_path / CURRENT).manifest
    assert manifest.training["interrupted"] is True
    assert manifest.training["epochs"] == epochs
    assert f"--epochs {epochs} " in manifest.training["command"]


def test_terminal_gets_a_bar():
    """With the epoch, the losses and the average precision; a file gets lines."""
    terminal, file = (
        Console(file=io.StringIO(), force_terminal=on_terminal, width=80) for on_terminal in (True, False)
    )
    for console in (terminal, file):
        with epoch_progress(console, every=2) as on_epoch:
            for number in (1, 2):
                on_epoch(Epoch(number, 2, 0.5, 0.25, 0.75))

    assert "2/2" in terminal.file.getvalue()
    assert "\r" in terminal.file.getvalue()
    assert "loss 0.5000, validation 0.2500, AP 0.7500" in terminal.file.getvalue()
    assert file.file.getvalue() == "epoch   2/2  loss 0.500000  validation loss 0.250000  average precision 0.7500\n"


@pytest.mark.parametrize(
    ("content", "published_as"), [(SAMPLE.read_bytes(), "the bundled sample of BETH"), (b"x", None)]
)
def test_file_is_known_by_its_bytes(tmp_path, content, published_as):
    """Whoever reads the report sees whether a file is the published one or somebody's copy."""
    (tmp_path / "any.csv").write_bytes(content)

    assert identify(tmp_path / "any.csv") == (hashlib.sha256(content).hexdigest(), published_as)


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
        ({"one.csv": HEADER + ",userId\n"}, "columns named twice: userId"),
        *[
            (
                {"one.csv": rows(9, 3).replace(",2,0,1", f",2,{cell},1", 1)},
                rf"one.csv:2: column returnValue: '{cell}' is not an integer",
            )
            for cell in ("", "nan", "NaN", "inf", "1.5")
        ],
        ({"one.csv": rows(9, 3).replace(",2,0,1", ",2,0,2", 1)}, "one.csv:2: column sus_label: '2' is not a label"),
        ({"one.csv": rows(9, 3).replace(",2,0,1", ",2,0,", 1)}, "one.csv:2: column sus_label: '' is not a label"),
        (
            {
                "labelled_train.csv": rows(9, 3),
                "labelled_validation.csv": HEADER + "\n",
                "labelled_test.csv": rows(9, 3),
            },
            "validation: no rows",
        ),
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
        ([SAMPLE, "--threshold", "f1"], "threshold rule 'f1': want best-f1, precision>=P"),
        ([SAMPLE, "--recipe", "seed", "--threshold", "precision>=1"], "no threshold satisfies it"),
    ],
)
def test_wrong_usage_is_exit_2(arguments, error, monkeypatch, capsys):
    """Scripts can tell wrong usage from a missed target."""
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")

    assert ended.value.code == 2
    assert error in capsys.readouterr().err
