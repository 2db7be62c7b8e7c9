"""A virtual environment for each peer; created on first use, and again when its requirements change."""

import hashlib
import subprocess
import sys
from pathlib import Path

_REQUIREMENTS = Path(__file__).parent / "requirements"
_ENVIRONMENTS = Path(__file__).parent / ".venvs"
_UV = (sys.executable, "-m", "uv")


class NotInstallableError(Exception):
    """A peer cannot be installed on this machine; the text is the output of uv."""


def peer_python(name: str) -> Path:
    """The Python interpreter of a peer's environment, which is created if needed.

    Raises:
        NotInstallableError: uv could not install it.
    """
    requirements = _REQUIREMENTS / f"{name}.txt"
    folder = _ENVIRONMENTS / name
    python, stamp = folder / "bin" / "python", folder / "installed"
    expected = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != expected:
        subprocess.run([*_UV, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        _install(python, requirements)
        stamp.write_text(expected)
    return python


def requirement_version(name: str, package: str) -> str:
    """The version of a package in a peer's requirements."""
    pins = dict(line.split("==") for line in (_REQUIREMENTS / f"{name}.txt").read_text().split())
    return pins[package]


def _install(python: Path, requirements: Path) -> None:
    install = [*_UV, "pip", "install", "--quiet", "--python", str(python), "--requirement", str(requirements)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstallableError(" ".join(done.stderr.split()) or f"uv: exit code {done.returncode}")
