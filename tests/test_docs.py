"""The documentation agrees with the code, and its links work."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("benchmarks/*.md"),
]
_FENCE = re.compile(r"^ *```(?s:.*?)^ *```", re.MULTILINE)


@pytest.mark.parametrize(
    "reference", ["settings_reference", "metrics_reference", "command_line_reference", "log_events_reference"]
)
def test_reference_page_is_current(reference, monkeypatch):
    """Otherwise operators would read an outdated page. `make docs` writes it again."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    source = importlib.import_module(reference)

    assert source.PAGE.read_text() == source.page()
    del sys.modules[reference]


def test_links_between_pages_lead_somewhere():
    """Otherwise a reader would follow a link to a page or heading that does not exist."""
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^):]+)\)", page.read_text())
        if not _leads_somewhere(page, *target.partition("#")[::2])
    ]

    assert dead == []


def _leads_somewhere(page: Path, target: str, heading: str) -> bool:
    path = page.parent / target if target else page
    return path.exists() and (not heading or heading in _anchors(path))


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_tests_and_files_that_pages_name_exist():
    """Otherwise a reader who doubts a promise, or wants to change something, would not find the test or file."""
    tests = "\n".join(path.read_text() for path in ROOT.glob("tests/**/*.py"))
    missing = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for name in re.findall(r"`([\w./-]+)`", _FENCE.sub("", page.read_text()))
        if (re.fullmatch(r"test_\w+", name) and f"def {name}(" not in tests)
        or (re.match(r"(tests|deploy|docs|detector|benchmarks)/", name) and not _exists(name))
    ]

    assert missing == []


def _exists(name: str) -> bool:
    return (ROOT / name).exists() or name.startswith("benchmarks/results/")  # written by `make bench`


def test_site_builds(tmp_path):
    """Otherwise the published site would have dead links, or lack a page in its navigation."""
    pytest.importorskip("material")

    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").exists()
    outside = re.compile(r'<(?:script|link|img)[^>]*(?:src|href)="https?://(?!localhost)')
    assert not [page.name for page in (tmp_path / "site").rglob("*.html") if outside.search(page.read_text())]
