"""A new model while the service runs."""

import json
import shutil
import subprocess

import pytest
import structlog

from detector.local.demo import SAMPLE
from detector.metrics import Metrics
from detector.model.folder import CURRENT, MANIFEST, WEIGHTS, load_model, make_current
from detector.service import reload
from detector.service.reload import ReloadableModel
from detector.service.scoring import Scorer
from detector.settings import ModelSettings
from detector.stream.admin.topics import read_topic
from detector.training.data import load_data
from detector.training.recipes import SEED
from detector.training.train import train
from tests.faults.deployment import INVALID_VALUES, open_deployment
from tests.helpers import wait_until


@pytest.fixture(autouse=True)
def _check_at_each_call(monkeypatch):
    monkeypatch.setattr(reload, "_CHECK_EVERY_S", 0)


@pytest.fixture
def folder(models, tmp_path):
    """A folder of models, with a current version, that the test may change."""
    shutil.copytree(models, tmp_path / "models", symlinks=True)
    return tmp_path / "models"


@pytest.fixture
def metrics():
    return Metrics(client="test", severities=(), dead_letter_reasons=())


@pytest.fixture
def reloadable(folder, metrics):
    return ReloadableModel(ModelSettings(path=folder / CURRENT, engine="numpy"), metrics)


def train_version(folder):
    return train(SEED, load_data(SAMPLE, seed=0), folder, seed=1).path


def test_new_current_version_is_used(reloadable, folder, metrics):
    """Otherwise a newly trained model would need a restart of the service."""
    version = make_current(train_version(folder)).resolve()

    assert reloadable.refresh()
    assert reloadable.scorer.identity.version == version.name
    assert metrics.value("detector_model_reloads_total", result="loaded") == 1
    assert not reloadable.refresh()
    info = [
        sample
        for family in metrics.registry.collect()
        if family.name == "detector_model_info"
        for sample in family.samples
    ]
    assert [sample.labels["version"] for sample in info] == [version.name]


def test_rolled_back_with_the_command_of_the_docs(reloadable, folder):
    """Otherwise an operator could not return to the previous version as the docs say."""
    before = reloadable.scorer.identity.version
    make_current(train_version(folder))
    assert reloadable.refresh()

    subprocess.run(["/bin/ln", "-sfn", before, folder / CURRENT], check=True)

    assert reloadable.refresh()
    assert reloadable.scorer.identity.version == before


DAMAGES = {"weights": "sha256", "manifest": MANIFEST, "golden": "golden batch", "folder": WEIGHTS}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_model_is_rejected_and_the_current_one_is_kept(reloadable, folder, metrics, damage):
    """Otherwise a broken upload would stop detection, or fill the log with one line for each attempt."""
    before = reloadable.scorer
    version = train_version(folder)
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

    with structlog.testing.capture_logs() as lines:
        assert not reloadable.refresh()
        assert not reloadable.refresh()
    assert reloadable.scorer is before
    (line,) = lines
    assert line["event_name"] == "model_rejected"
    assert DAMAGES[damage] in line["reason"]
    assert metrics.value("detector_model_reloads_total", result="refused") == 1


def test_repaired_weights_are_noticed_although_the_manifest_is_unchanged(reloadable, folder):
    """Otherwise an operator who copies the damaged file again would wait in vain, and be told to restart."""
    weights = (folder / CURRENT).resolve() / WEIGHTS
    good = weights.read_bytes()
    weights.write_bytes(good[:-1])
    assert not reloadable.refresh()

    weights.write_bytes(good)
    assert reloadable.refresh()


def test_requested_reload_happens_without_a_change(reloadable, metrics):
    """Otherwise SIGHUP would have no effect after a change that the service cannot see."""
    reloadable.request_reload()

    assert reloadable.refresh()
    assert metrics.value("detector_model_reloads_total", result="loaded") == 1


def test_model_that_is_missing_for_a_moment_is_used_again(reloadable, folder, metrics):
    """Otherwise the service would stop, or keep its old model, when somebody replaces the folder by hand."""
    version = (folder / CURRENT).resolve()
    version.rename(folder / "away")
    assert not reloadable.refresh()
    (folder / "away").rename(version)
    reloadable.refresh()

    assert load_model(folder / CURRENT).manifest.version == reloadable.scorer.identity.version


@pytest.mark.parametrize("guarantee", ["at-least-once", "exactly-once"])
def test_reload_under_load(kafka, models, scorer, guarantee, tmp_path):
    """Otherwise an exchange of models would cost events, or an alert would name a model that did not score it."""
    folder = tmp_path / "models"
    folder.mkdir()
    versions = []
    for source in (models / CURRENT).resolve(), train_version(tmp_path / "other"):
        (folder / source.name).symlink_to(source)
        versions.append(folder / source.name)
    incomplete = folder / "incomplete"  # like a copy that was interrupted
    incomplete.mkdir()
    (incomplete / MANIFEST).write_bytes((versions[0] / MANIFEST).read_bytes())
    make_current(versions[0])
    options = ["--set", f"model.path={folder / CURRENT}", "--set", "model.engine=numpy", "--set", "model.threshold=0"]
    options += ["--set", f"delivery.guarantee={guarantee}"]
    with open_deployment(kafka, scorer, options, tmp_path) as deployment:
        daemon = deployment.start_ready()
        with deployment.load(rate=500):
            for number in range(1, 4):
                for version, result in (incomplete, "refused"), (versions[number % 2], "loaded"):
                    make_current(version)
                    wait_for_reloads(daemon, result, number)
        deployment.wait_until_committed()
        events = {(r.partition, r.offset): r.value for r in read_topic(kafka, kafka.events_topic)}
        scores: dict[str, dict[tuple[int, int], float]] = {version.name: {} for version in versions}
        for record in read_topic(kafka, kafka.alerts_topic):
            alert = json.loads(record.value or b"")
            source_offset = alert["source"]["partition"], alert["source"]["offset"]
            scores[alert["model"]["version"]][source_offset] = alert["score"]

    assert all(scores.values())
    alerted = set().union(*scores.values())
    assert alerted == {offset for offset, value in events.items() if value not in INVALID_VALUES}
    for version in versions:
        scorer_of_version = Scorer.load(ModelSettings(path=version, engine="numpy", threshold=0.0))
        offsets = list(scores[version.name])
        expected = scorer_of_version.score([events[offset] for offset in offsets]).scores
        assert expected == pytest.approx([scores[version.name][offset] for offset in offsets], abs=1e-6)
    assert (folder / CURRENT).samefile(versions[1])


def wait_for_reloads(daemon, result, number):
    """Wait until this number of reloads had this result."""
    wait_until(
        lambda: daemon.metric("detector_model_reloads_total", result=result) == number, f"{number} reloads: {result}"
    )
