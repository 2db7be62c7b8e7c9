"""Runs a script of docs/upstream against the plain client library."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.helpers import ROOT

SCRIPTS = ROOT / "docs" / "upstream"
Run = Callable[..., None]


@pytest.fixture
def still_shows() -> Run:
    """Fails when a script no longer shows its problem: then see the script's section in docs/upstream.md."""

    def run(name: str, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, SCRIPTS / f"{name}.py", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{name}: not shown; is it fixed?\n{done.stdout}{done.stderr}"

    return run
