"""The documentation says what the code does."""

import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("reference", ["settings_reference", "metrics_reference"])
def test_reference_page_is_current(reference, monkeypatch):
    """Operators read the page, not the code: `make docs` writes it anew."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    source = importlib.import_module(reference)

    assert source.PAGE.read_text() == source.page()
    del sys.modules[reference]


def test_links_between_pages_lead_somewhere():
    """A link that leads nowhere is found here and not by a reader."""
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert dead == []
