"""Output files: never an input, and old results survive a failure."""

import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from detector.errors import UsageError
from detector.local.demo import SAMPLE
from detector.output_file import replaced_file
from detector.training.command import app
from tests.helpers import detector
from tests.links import link_to


@pytest.mark.parametrize("kind", ["same path", "symbolic link", "hard link", "linked folder"])
def test_output_that_is_an_input_is_refused_and_the_input_kept(tmp_path, kind):
    """Otherwise `detector score mine.csv --output mine.csv` would destroy the user's events."""
    source, output = link_to(tmp_path, kind)

    with (
        pytest.raises(UsageError, match=r"is also an input .*choose another --output"),
        replaced_file(output, [tmp_path / "nowhere.csv", source]),
    ):
        pass

    assert source.read_bytes() == SAMPLE.read_bytes()


def test_score_never_writes_to_its_inputs_model_or_settings(model, tmp_path):
    """Otherwise a mistyped --output would destroy events, or a model in use."""
    source, output = link_to(tmp_path, "hard link")
    config = tmp_path / "detector.toml"
    config.write_text(f'[model]\npath = "{model}"\nengine = "numpy"\n')

    for written in (output, model / "manifest.json", config):
        before = written.read_bytes()
        done = detector("--config", config, "score", source, "--output", written)

        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"detector: {written}: is also an input (")
        assert len(done.stderr.splitlines()) == 1
        assert written.read_bytes() == before


def test_failed_run_leaves_the_old_scores_and_nothing_else(model, tmp_path):
    """Otherwise a run that fails half-way would cost the user the scores of the last good run."""
    scores, bad = tmp_path / "scores.csv", tmp_path / "bad.csv"
    scores.write_text("old")
    bad.write_text(SAMPLE.read_text() + "1,2\n")

    done = detector("--set", f"model.path={model}", "--set", "model.engine=numpy", "score", bad, "--output", scores)

    assert done.returncode == 2
    assert "bad.csv:12502: 2 cells" in done.stderr
    assert scores.read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.csv", "scores.csv"]


def test_output_replaces_the_file_that_a_link_leads_to_and_keeps_its_mode(tmp_path):
    """Otherwise readers who share the file would lose access to it, or the link would be gone."""
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "real.csv").chmod(0o640)
    (tmp_path / "link.csv").symlink_to("real.csv")

    with replaced_file(tmp_path / "link.csv", []) as stream:
        stream.write("new")
        assert (tmp_path / "real.csv").read_text() == "old"

    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "real.csv").stat().st_mode) == 0o640


def test_new_output_is_readable_by_those_whom_the_umask_permits(tmp_path):
    """Otherwise colleagues could not read scores that were written aside and renamed."""
    before = os.umask(0o027)
    try:
        with replaced_file(tmp_path / "new.csv", []):
            pass
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "new.csv").stat().st_mode) == 0o640


def test_output_may_be_a_device_and_not_a_folder(tmp_path):
    """Otherwise `--output /dev/null` would replace the device, or a folder would give a traceback."""
    with replaced_file(Path(os.devnull), [Path(os.devnull)]) as stream:
        stream.write("x")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)

    for output in (tmp_path, tmp_path / "nowhere" / "scores.csv"):
        with (
            pytest.raises(UsageError, match=r"cannot be written: .*; choose another --output"),
            replaced_file(output, []),
        ):
            pass


@pytest.mark.parametrize("output", ["data", "models", "file"])
def test_training_refuses_an_output_that_is_its_data_before_it_reads_it(tmp_path, output):
    """Otherwise the link to the current model would take the place of the user's data."""
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "models" / "current").write_text("rows")
    (tmp_path / "file").write_text("rows")
    data = {"data": "data", "models": "models/current", "file": "data"}[output]

    done = CliRunner().invoke(app, (str(tmp_path / data), "--output", str(tmp_path / output)))

    assert isinstance(done.exception, UsageError)
    assert "choose another --output" in str(done.exception)
    assert (tmp_path / "models" / "current").read_text() == "rows"
