"""The conditions under which a new model becomes the current one."""

import shutil
from dataclasses import replace

import pytest
from msgspec import structs
from typer.testing import CliRunner

from detector.local.demo import SAMPLE
from detector.model.folder import CURRENT, load_model
from detector.training.command import app
from detector.training.data import load_data
from detector.training.gate import Targets, missed_floor, missed_targets
from detector.training.recipes import SEED
from detector.training.train import train
from tests.helpers import ROOT
from tests.training.beth_rows import beth_csv

ROWS, SUSPICIOUS = 1500, 100


def test_target_for_average_precision_is_checked(models):
    """Otherwise a poor model could become current, because accuracy says little when suspicious rows are rare."""
    manifest = load_model(models / CURRENT).manifest
    reached = manifest.metrics["validation"]["average_precision"]

    assert not list(missed_targets(manifest, Targets(accuracy=0.9, average_precision=reached)))
    (reason,) = missed_targets(manifest, Targets(average_precision=1.01))
    assert "validation average precision is 0.9" in reason


@pytest.fixture
def folder(models, tmp_path):
    """A copy of the folder of models, whose current model is a good one."""
    return shutil.copytree(models, tmp_path / "models", symlinks=True)


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (lambda i: int(i % 15 == 0), "it must be above 0.1333, twice the share of suspicious rows"),
        (lambda i: int(i >= SUSPICIOUS), "93.3% of the validation rows are labelled suspicious; check that the labels"),
    ],
    ids=["shuffled", "inverted"],
)
def test_model_of_wrong_labels_does_not_become_current(folder, tmp_path, label, reason):
    """Otherwise a file with wrong labels would flood users with alerts, or silence those that matter."""
    data = tmp_path / "wrong.csv"
    data.write_text(beth_csv(ROWS, SUSPICIOUS, label))
    current = (folder / CURRENT).resolve()

    done = CliRunner().invoke(app, (str(data), "--output", str(folder)))

    assert done.exit_code == 1
    assert reason in done.stdout
    assert (folder / CURRENT).resolve() == current


def test_model_of_few_rows_does_not_become_current_without_force(folder):
    """Otherwise a trial with a handful of rows would replace the model that is in use."""
    current = (folder / CURRENT).resolve()
    command = str(ROOT / "tests" / "data" / "tiny35.csv"), "--output", str(folder)

    kept = CliRunner().invoke(app, command)

    assert kept.exit_code == 1
    few = "Floor missed: the validation split has 1 suspicious rows, at least 10 are needed"
    assert few in kept.stdout
    assert "use --force to make the new model current anyway" in kept.stdout
    assert (folder / CURRENT).resolve() == current

    forced = CliRunner().invoke(app, (*command, "--force", "--epochs", "20"))
    assert forced.exit_code == 0
    assert few in forced.stdout
    assert "(--force: although it misses the floor)" in forced.stdout
    assert (folder / CURRENT).resolve() != current


def test_worse_model_does_not_become_current_without_force(folder):
    """Otherwise a retraining that went wrong would replace the model that is in use."""
    good = (folder / CURRENT).resolve()
    seed_recipe = (str(SAMPLE), "--output", str(folder), "--recipe", "seed")

    worse = CliRunner().invoke(app, seed_recipe)

    assert worse.exit_code == 1
    assert f"worse than the current model {good.name} on the new validation rows: average precision" in worse.stdout
    assert (folder / CURRENT).resolve() == good
    assert CliRunner().invoke(app, (*seed_recipe, "--force", "--epochs", "49")).exit_code == 0
    assert (folder / CURRENT).resolve() != good


def test_current_model_is_compared_on_the_new_rows(models, tmp_path):
    """Otherwise any new file, whose validation rows are never those of the current model, would bring a worse model."""
    data = load_data(SAMPLE, seed=1)
    worse = train(SEED, data, tmp_path, seed=1)

    assert any("worse than the current" in reason for reason in missed_floor(worse.manifest, data.validation, models))


def test_model_is_not_worse_than_itself(models):
    """Otherwise the same training, run again, would fail because of how scores are rounded."""
    same = load_model(models / CURRENT).manifest

    assert not list(missed_floor(same, load_data(SAMPLE, seed=0).validation, models))


def test_good_model_becomes_current(tmp_path):
    """Otherwise the floor would keep back models that users need, such as one that makes no mistake at all."""
    data = tmp_path / "good.csv"
    data.write_text(beth_csv(ROWS, SUSPICIOUS))

    for _ in range(2):  # without a current model, and in the place of one that is as good
        done = CliRunner().invoke(app, (str(data), "--output", str(tmp_path / "models")))
        assert done.exit_code == 0, done.stdout
        assert "Floor" not in done.stdout
        data.write_text(beth_csv(ROWS + 1, SUSPICIOUS))


def test_model_whose_threshold_alerts_too_often_does_not_become_current(tmp_path):
    """Otherwise a threshold far too low would bury the alerts that matter among a million others."""
    data = load_data(SAMPLE, seed=0)
    alerting = train(replace(SEED, threshold="0.0"), data, tmp_path, seed=0)

    missed = list(missed_floor(alerting.manifest, data.validation, tmp_path))
    assert "Floor missed: 100.0% of the validation rows alert at threshold 0, at most 10% may" in missed


def test_model_no_better_than_the_user_id_does_not_become_current(models, tmp_path):
    """Otherwise users would run a model where one comparison does the same."""
    file = tmp_path / "user.csv"
    file.write_text(beth_csv(ROWS, SUSPICIOUS))
    useless = structs.replace(load_model(models / CURRENT).manifest, metrics={"validation": {"average_precision": 0.9}})

    missed = list(missed_floor(useless, load_data(file, seed=0).validation, tmp_path))

    expected = "validation average precision is 0.9000, it must be above 1.0000, which the rule userId >= 1000 reaches"
    assert missed == [f"Floor missed: {expected}"]
