"""What the linter cannot hold tests to."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def test_every_test_says_what_a_user_would_lose():
    """A test without a docstring is a test that nobody dares to remove."""
    silent = [
        f"{path.relative_to(TESTS)}:{node.lineno} {node.name}"
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]

    assert silent == []
