"""The conditions under which a new model becomes the current one."""

import shutil

from typer.testing import CliRunner

from detector.local.demo import SAMPLE
from detector.model.folder import CURRENT, load_model
from detector.training.command import app
from detector.training.data import load_data
from detector.training.gate import Targets, missed_targets, worse_than_current
from detector.training.recipes import SEED
from detector.training.train import train


def test_target_for_average_precision_is_checked(models):
    """Otherwise a poor model could become current, because accuracy says little when suspicious rows are rare."""
    manifest = load_model(models / CURRENT).manifest
    reached = manifest.metrics["validation"]["average_precision"]

    assert not list(missed_targets(manifest, Targets(accuracy=0.9, average_precision=reached)))
    (reason,) = missed_targets(manifest, Targets(average_precision=1.01))
    assert "validation average precision is 0.9" in reason


def test_worse_model_does_not_become_current_without_force(models, tmp_path):
    """Otherwise a retraining that went wrong would replace the model that is in use."""
    folder = shutil.copytree(models, tmp_path / "models", symlinks=True)
    good = (folder / CURRENT).resolve()
    seed_recipe = (str(SAMPLE), "--output", str(folder), "--recipe", "seed")

    worse = CliRunner().invoke(app, seed_recipe)

    assert worse.exit_code == 1
    assert f"Worse than the current model {good.name} on the same validation rows: average precision" in worse.stdout
    assert (folder / CURRENT).resolve() == good
    assert CliRunner().invoke(app, (*seed_recipe, "--force", "--epochs", "49")).exit_code == 0
    assert (folder / CURRENT).resolve() != good


def test_models_with_different_validation_rows_are_not_compared(models, tmp_path):
    """Otherwise a better model would be kept back, because a model looks better on rows it was trained on."""
    other = train(SEED, load_data(SAMPLE, seed=1), tmp_path, seed=1)

    assert not list(worse_than_current(other.manifest, models))
