"""Prints a part of requirements.lock, hashes and all, for an installer: `python .ci/lock.py [--torch HOW] [EXTRA]...`.

The lock holds everything that the repository ever installs. `make install` needs nearly all of it; the slim image needs
neither torch nor the development tools; torch from another index has other hashes and needs no CUDA libraries.
Below each package uv notes which packages need it (`# via`); this script follows the notes from pyproject.toml on.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ROOT = HERE if (HERE / "pyproject.toml").exists() else HERE.parent  # the Dockerfile puts this script beside the lock
PROJECT = "detector"
# What PyTorch's default build for Linux needs and its CPU-only build does not.
CUDA = re.compile(r"(nvidia|cuda|triton)(-|$)")


class Package(NamedTuple):
    """One package of the lock."""

    pin: str  # name==version
    lines: str  # as in the lock, with marker, hashes and notes
    needed_by: frozenset[str]  # names of packages


def name_of(requirement: str) -> str:
    """The normalised name of the package that a line of requirements asks for."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]).lower()


def locked(text: str) -> dict[str, Package]:
    """Each package of a lock by its name."""
    packages = {}
    for lines in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]:
        _, _, notes = lines.partition("# via")
        needed_by = frozenset(name_of(note) for note in re.findall(r"^[\s#]*(\S+)", notes, flags=re.MULTILINE))
        packages[name_of(lines)] = Package(lines.split(maxsplit=1)[0], lines, needed_by)
    return packages


def requirements(project: dict[str, Any], extras: Iterable[str]) -> Iterator[str]:
    """The names of what the project and these extras require directly.

    Raises:
        KeyError: there is no such extra.
    """
    yield from (name_of(line) for line in project["dependencies"])
    for extra in extras:
        for line in project["optional-dependencies"][extra]:
            if name_of(line) == PROJECT:
                yield from requirements(project, re.findall(r"[\w-]+", line)[1:])
            else:
                yield name_of(line)


def closure(packages: dict[str, Package], names: Iterable[str], leave_out: Callable[[str], bool]) -> set[str]:
    """These packages and all that they need, except for what is left out and what only that needs."""
    found: set[str] = set()
    new = {name for name in names if not leave_out(name)}
    while new:
        found |= new
        new = {name for name, package in packages.items() if package.needed_by & new and not leave_out(name)} - found
    return found


def main() -> None:
    """Prints what was asked for."""
    parser = argparse.ArgumentParser(description="Prints a part of requirements.lock.")
    parser.add_argument(
        "--torch",
        choices=["locked", "elsewhere", "none"],
        default="locked",
        help="elsewhere: what torch needs, but not torch nor its CUDA libraries; none: nor what only torch needs",
    )
    parser.add_argument("--only", metavar="PACKAGE", action="append", help="this package and what it needs; repeatable")
    parser.add_argument("--pin", metavar="PACKAGE", help="name and version of this package, without hashes")
    parser.add_argument("extras", metavar="EXTRA", nargs="*", help="extras of pyproject.toml")
    options = parser.parse_args()

    packages = locked((ROOT / "requirements.lock").read_text())
    if options.pin:
        sys.stdout.write(f"{packages[options.pin].pin}\n")
        return
    names = set(options.only or requirements(_project(), options.extras))
    if unlocked := names - packages.keys():
        parser.error(f"not in requirements.lock: {', '.join(sorted(unlocked))}; run `make lock`")
    leave_out: Callable[[str], bool] = {
        "locked": lambda _: False,
        "elsewhere": lambda name: bool(CUDA.match(name)),
        "none": lambda name: name == "torch",
    }[options.torch]
    for name in sorted(closure(packages, names, leave_out)):
        if not (options.torch == "elsewhere" and name == "torch"):
            sys.stdout.write(packages[name].lines)


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


if __name__ == "__main__":
    main()
