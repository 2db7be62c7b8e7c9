"""The lock: what `make install` and the images install, and nothing else."""

import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers import ROOT

LOCK = ROOT / "requirements.lock"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CUDA = re.compile(r"(nvidia|cuda|triton)\b")


def part_of_the_lock(*options):
    """Maps each package to the lines of the lock that `.ci/lock.py` prints for it with these options."""
    command = [sys.executable, str(ROOT / ".ci" / "lock.py"), *options]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {lines.split("==")[0]: lines for lines in re.split(r"^(?=\w)", printed, flags=re.MULTILINE)[1:]}


def required():
    """Every package that pyproject.toml requires, including those of the extras and the build backend."""
    project = PYPROJECT["project"]
    lines = [*PYPROJECT["build-system"]["requires"], *project["dependencies"]]
    lines += [line for extra in project["optional-dependencies"].values() for line in extra]
    return [each for each in map(Requirement, lines) if each.name != project["name"]]


@pytest.mark.parametrize("requirement", required(), ids=str)
def test_the_lock_covers_pyproject(requirement):
    """Otherwise `make install` would leave out a dependency, or install a version that pyproject.toml excludes."""
    pins = dict(re.findall(r"^(\S+)==(\S+)", LOCK.read_text(), flags=re.MULTILINE))

    pin = pins.get(canonicalize_name(requirement.name))

    assert pin is not None, "not in requirements.lock: run `make lock`"
    assert requirement.specifier.contains(pin, prereleases=True), f"{pin} is locked: run `make lock`"


def test_every_locked_package_has_hashes_and_no_index():
    """Otherwise a package index could replace a package, or everybody would have to use the same index."""
    text = LOCK.read_text()

    packages = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []
    assert "://" not in text


def test_the_slim_image_has_neither_torch_nor_the_tools():
    """Otherwise the image that scores with numpy would be fifty times as large, because of torch alone."""
    slim = part_of_the_lock("--torch", "none")

    assert {"kafka-python", "numpy", "pydantic-core"} <= slim.keys()
    assert not slim.keys() & {"torch", "sympy", "pytest", "pandas", "confluent-kafka"}
    assert not any(CUDA.match(name) for name in slim)


def test_an_extra_adds_what_it_needs():
    """Otherwise an image built with `EXTRAS=librdkafka`, or an installation with `train`, would lack packages."""
    assert "confluent-kafka" in part_of_the_lock("--torch", "none", "librdkafka")
    assert {"pandas", "python-dateutil", "torchmetrics"} <= part_of_the_lock("--torch", "none", "train").keys()


def test_torch_from_elsewhere_leaves_out_only_torch_and_cuda():
    """Otherwise an installation with a CPU-only torch would lack packages that torch needs."""
    whole, without = part_of_the_lock("all"), part_of_the_lock("--torch", "elsewhere", "all")

    left_out = whole.keys() - without.keys()
    assert "torch" in left_out
    assert all(CUDA.match(name) for name in left_out - {"torch"})
    assert {"sympy", "networkx", "filelock", "torchmetrics"} <= without.keys()


def test_a_package_alone_comes_with_what_it_needs():
    """Otherwise the audit and the release would fail, because no resolver adds what their tools need."""
    audit = part_of_the_lock("--only", "pip-audit")

    assert {"pip-audit", "requests", "urllib3"} <= audit.keys()
    assert "torch" not in audit
