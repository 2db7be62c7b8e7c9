"""The training report: in a real browser, and the figures in it."""

import json
import shutil
from contextlib import ExitStack, closing

import numpy as np
import pytest

from detector.features.beth import BETH
from detector.model.folder import load_model
from detector.training.data import Dataset, Split
from detector.training.importance import grouped_errors, permutation_importance
from detector.training.robustness import AS_ORDINARY_USER, UNCHANGED, measure_robustness

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: `make browser` installs Debian's")
def test_report_opens_in_a_browser_without_any_network(trained_by_command, tmp_path):
    """Otherwise a colleague who gets the report by e-mail would see errors, or no figures."""
    _, version = trained_by_command
    console: list[str] = []
    requested: list[str] = []
    with playwright.sync_playwright() as driver, ExitStack() as cleanup:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = cleanup.enter_context(closing(driver.chromium.launch(executable_path=CHROMIUM, args=options)))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: console.append(message.text))
        page.on("pageerror", lambda error: console.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        page.goto((version / "report.html").as_uri())
        images = page.eval_on_selector_all(
            "img", "all => all.map(i => [i.alt, i.complete && i.naturalWidth > 0 && i.getBoundingClientRect().width])"
        )
        headings = page.eval_on_selector_all("h2", "all => all.map(h => h.textContent)")
        text = page.inner_text("body")
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        screenshot = page.screenshot(full_page=True, path=tmp_path / "report.png")

    assert console == []
    assert all(url.startswith(("file:", "data:")) for url in requested)
    assert [title for title, _ in images] == [
        "Training loss over epochs",
        "Validation average precision over epochs",
        "ROC curve, validation and test split",
        "Precision and recall, validation and test split",
        "Distribution of scores by label, test split",
        "Confusion matrix at the threshold, test split",
        "Calibration, test split",
        "Permutation importance, test split",
        "Distribution of features, training and test split",
    ]
    assert all(width > 400 for _, width in images)
    assert {
        "Comparison with baselines, test split",
        "Errors by user and parent process, test split",
        "Model card",
    } <= set(headings)
    assert f"{load_model(version).manifest.metrics['test']['f1']:.4f}" in text
    assert overflow <= 0
    assert len(screenshot) > 50_000


def test_json_report_has_everything_that_the_page_shows(trained_by_command):
    """Otherwise programs could not compare models by all of their measures."""
    _, version = trained_by_command
    report = json.loads((version / "report.json").read_text())

    assert report["robustness"][AS_ORDINARY_USER]["auroc"] is None
    assert report["threshold"]["rule"] == "best-f1"
    assert len(report["epochs"]) == report["training"]["epochs"]
    assert set(report["permutation_importance"]) == set(BETH.names)


ROWS = Split(
    np.array([[1000 + i, 1000 + i, 1 + i % 2, 1000 * (i % 3), 4026531840, 2, 0] for i in range(30)], dtype=np.float64),
    np.array([i % 3 > 0 for i in range(30)], dtype=np.float32),
)


def score_by_user(features):
    return np.clip(features[:, 3] / 2000, 0, 1)


def test_only_the_feature_that_the_model_uses_is_important():
    """Otherwise the figure of permutation importance would mislead users who select features."""
    importance = permutation_importance(score_by_user, ROWS, seed=0)

    assert importance.pop("userId") > 0.2
    assert set(importance.values()) == {0.0}


def test_errors_are_grouped_by_user_and_parent():
    """Otherwise users who tune a model could not see which source its errors come from."""
    errors = grouped_errors(score_by_user(ROWS.features), ROWS, threshold=0.75)

    assert errors == [
        {"error": "missed", "userId": 1000, "parentProcessId": 1, "rows": 5, "mean_score": 0.5},
        {"error": "missed", "userId": 1000, "parentProcessId": 2, "rows": 5, "mean_score": 0.5},
    ]


def test_robustness_shows_dependence_on_process_ids():
    """Otherwise the report would hide that a model knows only the process ids of its training hosts."""
    data = Dataset(ROWS, ROWS, ROWS, [])
    by_user = measure_robustness(score_by_user, data, 0.4, seed=0)
    by_process_id = measure_robustness(lambda features: (features[:, 0] < 1015).astype(float), data, 0.5, seed=0)

    assert by_user["process ids raised by 1000"]["f1"] == by_user[UNCHANGED]["f1"] == 1.0
    assert by_user[AS_ORDINARY_USER]["accuracy"] == 0.0
    assert by_user[UNCHANGED]["mean_group_recall"] == 1.0
    assert "distinct rows not in training" not in by_user
    assert by_process_id["process ids raised by 1000"]["recall"] == 0.0
    assert by_process_id[UNCHANGED]["recall"] > 0
