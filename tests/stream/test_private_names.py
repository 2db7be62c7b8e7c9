"""Private names of other libraries are used in one place only, which is guarded by a version check."""

import ast
import re
from pathlib import Path

import detector

PACKAGE = Path(detector.__file__).parent
PATCHES = PACKAGE / "stream" / "kafka_python" / "patches"
PUBLIC = re.compile(r"\bKafkaError\._[A-Z]|\bsys\._current_frames\b")
"""Documented names that begin with an underscore nevertheless."""


def modules():
    """Every module outside of the patches."""
    found = [path for path in PACKAGE.rglob("*.py") if PATCHES not in path.parents]
    assert found
    return found


def test_only_patches_use_private_names():
    """Otherwise the next release of a library could break the service where no version check guards it."""
    exceptions = [
        f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for path in modules()
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(r"#\s*(noqa|ruff: noqa|flake8: noqa)\b(?!:)|noqa:.*\bSLF", line) and not PUBLIC.search(line)
    ]

    assert exceptions == []


def test_only_patches_swap_the_class_of_an_object():
    """Otherwise `__class__ = ...` could change a library's private parts where no version check guards it."""
    swaps = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "__class__" and isinstance(node.ctx, ast.Store)
    ]

    assert swaps == []
