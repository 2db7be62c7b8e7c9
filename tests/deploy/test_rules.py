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
    """Otherwise Prometheus would not start."""
    _run("promtool", "check", "config", FOLDER / "prometheus.yml")


def test_rules_are_valid_and_unique() -> None:
    """Otherwise Prometheus would not load any rule, because one invalid rule is enough for that."""
    _run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted((FOLDER / "rules").glob("*.yml")))


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_only_when_they_should(cases: Path) -> None:
    """Otherwise a real problem would page nobody, or false alarms would lead somebody to silence the alert."""
    _run("promtool", "test", "rules", cases)


def test_every_alert_has_a_firing_and_a_quiet_case() -> None:
    """Otherwise an alert could stop firing, or fire all the time, without any test noticing."""
    cases = [case for path in CASES for case in yaml.safe_load(path.read_text())["tests"]]
    fires = {case["alert_rule_test"][0]["alertname"] for case in cases if case["alert_rule_test"][0]["exp_alerts"]}
    quiet = {case["alert_rule_test"][0]["alertname"] for case in cases if not case["alert_rule_test"][0]["exp_alerts"]}

    names = {rule["alert"] for rule in rules("alert")}
    assert fires == quiet == names


def test_model_versions_start_with_the_date_of_training(model: Path) -> None:
    """Otherwise DetectorModelOld, which reads the date from the version, would never fire."""
    (rule,) = (rule for rule in rules("alert") if rule["alert"] == "DetectorModelOld")
    (version_format,) = re.findall(r'version=~"([^"]+)"', rule["expr"])
    manifest = load_model(model).manifest

    assert re.fullmatch(version_format, manifest.version)
    assert manifest.version[:8] == manifest.created_at[:10].replace("-", "")


def test_every_alert_says_what_to_do() -> None:
    """Otherwise the person on call would not know what the alert means or which runbook to follow."""
    for rule in rules("alert"):
        annotations = rule["annotations"]
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert annotations["summary"], rule["alert"]
        assert annotations["description"], rule["alert"]
        assert rule["alert"] in (ROOT / annotations["runbook_url"]).read_text()


def test_every_recorded_series_is_used() -> None:
    """Otherwise Prometheus would spend CPU and storage on a series that no alert or panel uses."""
    texts = [query.expression for query in dashboard_queries()]
    texts += [rule["expr"] for kind in ("alert", "record") for rule in rules(kind)]

    assert [rule["record"] for rule in rules("record") if not any(rule["record"] in text for text in texts)] == []


def test_alertmanager_configuration_is_valid() -> None:
    """Otherwise Alertmanager would not start, or alerts of some severity would reach nobody."""
    configuration = DEPLOY / "alertmanager" / "alertmanager.yml"
    _run("amtool", "check-config", configuration)
    for severity in ("critical", "warning", "info"):
        receiver = ("config", "routes", "test", f"--config.file={configuration}", "--verify.receivers=screen")
        _run("amtool", *receiver, f"severity={severity}", "job=detector")
