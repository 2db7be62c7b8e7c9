"""The Prometheus rules, checked with Prometheus' own tool, and the Alertmanager configuration."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from detector.model.folder import load_model
from tests.deploy.queries import DEPLOY, ROOT, dashboard_queries, rules

FOLDER = DEPLOY / "prometheus"
pytestmark = pytest.mark.timeout(300)  # evaluating days of data takes 30 s on a busy machine
CASES = sorted((FOLDER / "tests").glob("*.yml"))


def _run(tool: str, *arguments: str | Path) -> None:
    """Run a tool and fail if the tool does; skip the test if the tool is not installed."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed: `make prometheus` installs it with Debian's package manager")
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_configuration_is_valid() -> None:
    """Otherwise Prometheus would not start with an invalid configuration."""
    _run("promtool", "check", "config", FOLDER / "prometheus.yml")


def test_rules_are_valid_and_unique() -> None:
    """With a single invalid rule Prometheus loads none."""
    _run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted((FOLDER / "rules").glob("*.yml")))


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_only_when_they_should(cases: Path) -> None:
    """An alert that never fires is useless, and one that fires every night gets silenced."""
    _run("promtool", "test", "rules", cases)


def test_every_alert_has_a_firing_and_a_quiet_case() -> None:
    """An alert without these two cases could stop firing, or fire all the time, unnoticed."""
    cases = [case for path in CASES for case in yaml.safe_load(path.read_text())["tests"]]
    fires = {case["alert_rule_test"][0]["alertname"] for case in cases if case["alert_rule_test"][0]["exp_alerts"]}
    quiet = {case["alert_rule_test"][0]["alertname"] for case in cases if not case["alert_rule_test"][0]["exp_alerts"]}

    names = {rule["alert"] for rule in rules("alert")}
    assert fires == quiet == names


def test_model_versions_start_with_the_date_of_training(model: Path) -> None:
    """Otherwise DetectorModelOld would never fire for versions in another format."""
    (rule,) = (rule for rule in rules("alert") if rule["alert"] == "DetectorModelOld")
    (version_format,) = re.findall(r'version=~"([^"]+)"', rule["expr"])
    manifest = load_model(model).manifest

    assert re.fullmatch(version_format, manifest.version)
    assert manifest.version[:8] == manifest.created_at[:10].replace("-", "")


def test_every_alert_says_what_to_do() -> None:
    """Whoever is paged gets a severity, a summary, a description, and a runbook that exists and names the alert."""
    for rule in rules("alert"):
        annotations = rule["annotations"]
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert annotations["summary"], rule["alert"]
        assert annotations["description"], rule["alert"]
        assert rule["alert"] in (ROOT / annotations["runbook_url"]).read_text()


def test_every_recorded_series_is_used() -> None:
    """A recording rule that no alert or panel uses costs CPU and storage at each evaluation."""
    texts = [query.expression for query in dashboard_queries()]
    texts += [rule["expr"] for kind in ("alert", "record") for rule in rules(kind)]

    assert [rule["record"] for rule in rules("record") if not any(rule["record"] in text for text in texts)] == []


def test_alertmanager_configuration_is_valid() -> None:
    """Alertmanager starts with the configuration, and alerts of every severity reach a receiver."""
    configuration = DEPLOY / "alertmanager" / "alertmanager.yml"
    _run("amtool", "check-config", configuration)
    for severity in ("critical", "warning", "info"):
        receiver = ("config", "routes", "test", f"--config.file={configuration}", "--verify.receivers=screen")
        _run("amtool", *receiver, f"severity={severity}", "job=detector")
