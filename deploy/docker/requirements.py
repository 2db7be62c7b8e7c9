"""Prints what the package requires, as pyproject.toml says it: `python requirements.py [--without NAME]... [EXTRA]...`.

The numpy engine never imports torch, and torch is many times the size of all the rest: the image that scores with numpy
is installed from this list without it.
"""

import argparse
import re
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path

PYPROJECT = Path("pyproject.toml")


def requirements(project: dict[str, object], extras: Collection[str], without: Collection[str]) -> Iterator[str]:
    """The requirements of the project and of its extras, but for those of the names in `without`.

    Raises:
        KeyError: there is no such extra.
    """
    optional: dict[str, list[str]] = project["optional-dependencies"]  # type: ignore[assignment]
    wanted: list[str] = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]  # type: ignore[misc]
    for line in wanted:
        if re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0] not in without:
            yield line


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("extras", nargs="*")
    options = parser.parse_args()
    for requirement in requirements(tomllib.loads(PYPROJECT.read_text())["project"], options.extras, options.without):
        print(requirement)  # noqa: T201 - pip reads it
