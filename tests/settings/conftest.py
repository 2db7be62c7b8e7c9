"""Each test of the settings has a working folder and a secrets folder of its own, without settings of the machine."""

import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def empty_working_folder(tmp_path, monkeypatch):
    """The working folder: empty, with no DETECTOR_ variable set."""
    for name in [name for name in os.environ if name.upper().startswith("DETECTOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """An empty secrets folder."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("DETECTOR_SECRETS_DIR", str(folder))
    return folder


@pytest.fixture
def public_folder(monkeypatch):
    """A working folder outside of pytest's, which only its owner may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        yield folder
        folder.chmod(0o755)
