"""Another model while the service runs."""

import json
import shutil
import subprocess

import pytest
import structlog

from detector.local.demo import SAMPLE
from detector.metrics import Metrics
from detector.model.folder import CURRENT, MANIFEST, WEIGHTS, load_model, make_current
from detector.service import reload
from detector.service.reload import ModelKeeper
from detector.settings import ModelSettings
from detector.training.data import load_data
from detector.training.recipes import SEED
from detector.training.train import train


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch):
    monkeypatch.setattr(reload, "_LOOK_EVERY_S", 0)


@pytest.fixture
def folder(models, tmp_path):
    """A models folder of the test's own, with a current version."""
    shutil.copytree(models, tmp_path / "models", symlinks=True)
    return tmp_path / "models"


@pytest.fixture
def metrics():
    return Metrics(client="test", severities=(), reject_reasons=())


@pytest.fixture
def keeper(folder, metrics):
    return ModelKeeper(ModelSettings(path=folder / CURRENT, engine="numpy"), metrics)


def another_version(folder):
    return train(SEED, load_data(SAMPLE, seed=0), folder, seed=1).path


def test_new_current_version_is_taken(keeper, folder, metrics):
    """Training publishes by moving one link; nobody has to restart anything."""
    version = make_current(another_version(folder)).resolve()

    assert keeper.refresh()
    assert keeper.scorer.identity.version == version.name
    assert metrics.value("detector_model_reloads_total", result="loaded") == 1
    assert not keeper.refresh()
    info = [
        sample
        for family in metrics.registry.collect()
        if family.name == "detector_model_info"
        for sample in family.samples
    ]
    assert [sample.labels["version"] for sample in info] == [version.name]


def test_rolled_back_with_the_command_of_the_docs(keeper, folder):
    """At 3 a.m. nobody writes a program: one link, and the version before scores again."""
    before = keeper.scorer.identity.version
    make_current(another_version(folder))
    assert keeper.refresh()

    subprocess.run(["/bin/ln", "-sfn", before, folder / CURRENT], check=True)

    assert keeper.refresh()
    assert keeper.scorer.identity.version == before


REASONS = {"weights": "sha256", "manifest": MANIFEST, "golden": "golden batch", "folder": WEIGHTS}


@pytest.mark.parametrize("damage", REASONS)
def test_bad_model_is_refused_and_the_old_one_goes_on(keeper, folder, metrics, damage):
    """Counted once and logged with the reason; looked at again only when it changes."""
    before = keeper.scorer
    version = another_version(folder)
    if damage == "weights":
        (version / WEIGHTS).write_bytes(b"\x80\x04pickle")
    elif damage == "manifest":
        (version / MANIFEST).write_text("{")
    elif damage == "golden":
        manifest = json.loads((version / MANIFEST).read_text())
        manifest["golden"]["scores"][0] += 0.1
        (version / MANIFEST).write_text(json.dumps(manifest))
    else:
        (version / WEIGHTS).unlink()
    make_current(version)

    with structlog.testing.capture_logs() as logged:
        assert not keeper.refresh()
        assert not keeper.refresh()
    assert keeper.scorer is before
    (line,) = logged
    assert line["event"] == "model refused; the one before goes on"
    assert REASONS[damage] in line["reason"]
    assert metrics.value("detector_model_reloads_total", result="refused") == 1


def test_asked_for_a_reload_it_reloads_what_has_not_changed(keeper, metrics):
    """SIGHUP means now."""
    keeper.ask()

    assert keeper.refresh()
    assert metrics.value("detector_model_reloads_total", result="loaded") == 1


def test_model_that_is_gone_for_a_moment_is_no_change(keeper, folder, metrics):
    """Somebody replaces the folder by hand; what is in memory goes on, and the new one is taken once it is there."""
    version = (folder / CURRENT).resolve()
    version.rename(folder / "away")
    assert not keeper.refresh()
    (folder / "away").rename(version)
    keeper.refresh()

    assert load_model(folder / CURRENT).manifest.version == keeper.scorer.identity.version
