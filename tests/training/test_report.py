"""The report, in a real browser; and what goes into it."""

import json
import shutil

import numpy as np
import pytest

from detector.model.folder import load_model
from detector.records import FEATURES
from detector.training.data import Split
from detector.training.importance import grouped_errors, permutation_importance
from detector.training.robustness import measure_robustness

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: `make browser` installs Debian's")
def test_report_opens_in_a_browser_without_any_network(trained_by_command, tmp_path):
    """A report that somebody mails to a colleague shows all that it promises."""
    _, version = trained_by_command
    complaints, requested = [], []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        page.goto((version / "report.html").as_uri())
        images = page.eval_on_selector_all(
            "img", "all => all.map(i => [i.alt, i.complete && i.naturalWidth > 0 && i.getBoundingClientRect().width])"
        )
        headings = page.eval_on_selector_all("h2", "all => all.map(h => h.textContent)")
        text = page.inner_text("body")
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        picture = page.screenshot(full_page=True, path=tmp_path / "report.png")
        browser.close()

    assert complaints == []
    assert all(url.startswith(("file:", "data:")) for url in requested)
    assert [title for title, _ in images] == [
        "Training loss over epochs",
        "Validation average precision over epochs",
        "Receiver operating characteristic",
        "Precision and recall",
        "Scores by label, test split",
        "Confusion at the threshold, test split",
        "Calibration, test split",
        "Permutation importance, test split",
        "Features, training against test",
    ]
    assert all(width > 400 for _, width in images)
    assert {"The model against what is simpler", "Where it is wrong, test split", "Model card"} <= set(headings)
    assert f"{load_model(version).manifest.metrics['test']['f1']:.4f}" in text
    assert overflow <= 0
    assert len(picture) > 50_000


def test_report_says_what_the_figures_are_of(trained_by_command):
    """For programs: all that the page shows, and null where there is no figure."""
    _, version = trained_by_command
    report = json.loads((version / "report.json").read_text())

    assert report["robustness"]["benign rows, as if of an ordinary user"]["auroc"] is None
    assert report["threshold"]["rule"] == "best-f1"
    assert len(report["epochs"]) == report["training"]["epochs"]
    assert set(report["permutation_importance"]) == set(FEATURES)


ROWS = Split(
    np.array([[1000 + i, 1000 + i, 1 + i % 2, 1000 * (i % 3), 4026531840, 2, 0] for i in range(30)], dtype=np.float64),
    np.array([i % 3 > 0 for i in range(30)], dtype=np.float32),
)


def by_user(features):
    return np.clip(features[:, 3] / 2000, 0, 1)


def test_shuffling_what_the_model_looks_at_costs_and_nothing_else_does():
    """The bars of the figure are about this model, not about the data."""
    importance = permutation_importance(by_user, ROWS, seed=0)

    assert importance.pop("userId") > 0.2
    assert set(importance.values()) == {0.0}


def test_errors_are_grouped_by_user_and_parent():
    """The first question of whoever tunes: which source is it?"""
    errors = grouped_errors(by_user(ROWS.features), ROWS, threshold=0.75)

    assert errors == [
        {"error": "missed", "userId": 1000, "parentProcessId": 1, "rows": 5, "mean_score": 0.5},
        {"error": "missed", "userId": 1000, "parentProcessId": 2, "rows": 5, "mean_score": 0.5},
    ]


def test_robustness_tells_identifiers_from_meaning():
    """A model of the user alone does not care for process ids; one of process ids alone has nothing left."""
    from detector.training.data import Data

    data = Data(ROWS, ROWS, ROWS, [])
    of_user = measure_robustness(by_user, data, 0.4, seed=0)
    of_ids = measure_robustness(lambda features: (features[:, 0] < 1015).astype(float), data, 0.5, seed=0)

    assert of_user["process ids 1000 higher"]["f1"] == of_user["as it is"]["f1"] == 1.0
    assert of_user["benign rows, as if of an ordinary user"]["accuracy"] == 0.0
    assert of_user["as it is"]["mean_recall_of_families"] == 1.0
    assert "distinct rows that training did not have" not in of_user
    assert of_ids["process ids 1000 higher"]["recall"] == 0.0
    assert of_ids["as it is"]["recall"] > 0
