"""The documentation says what the code does."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_settings_page_is_current(monkeypatch):
    """Operators read the page, not the types: `make docs` writes it anew."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import settings_reference

    assert settings_reference.PAGE.read_text() == settings_reference.page()
    del sys.modules["settings_reference"]


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
