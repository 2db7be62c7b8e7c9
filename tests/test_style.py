"""Rules for tests that the linter cannot check."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def test_every_test_has_a_docstring():
    """Otherwise nobody would dare to change or remove a test, because nobody knows what a user would lose."""
    undocumented = [
        f"{path.relative_to(TESTS)}:{node.lineno} {node.name}"
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]

    assert undocumented == []
