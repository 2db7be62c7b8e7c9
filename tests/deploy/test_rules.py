"""Prometheus' rules, by Prometheus' own tool."""

import re
import shutil
import subprocess

import pytest
import yaml

from detector.model.folder import load_model
from tests.deploy.queries import DEPLOY, ROOT, dashboard_queries, rules

FOLDER = DEPLOY / "prometheus"
pytestmark = pytest.mark.timeout(300)  # days of evaluations take half a minute on a busy machine
CASES = sorted((FOLDER / "tests").glob("*.yml"))


def _run(tool, *arguments):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed: `make prometheus` installs it with Debian's package manager")
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_configuration_is_valid():
    """Prometheus would not start with a wrong one."""
    _run("promtool", "check", "config", FOLDER / "prometheus.yml")


def test_rules_are_valid_and_never_twice():
    """One wrong rule keeps all of them from being loaded."""
    _run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted((FOLDER / "rules").glob("*.yml")))


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(cases):
    """An alert that never fires, or fires every night, is turned off, and then there is none."""
    _run("promtool", "test", "rules", cases)


def test_every_alert_has_a_firing_and_a_quiet_case():
    """A new alert comes with its two cases."""
    cases = [case for path in CASES for case in yaml.safe_load(path.read_text())["tests"]]
    fires = {case["alert_rule_test"][0]["alertname"] for case in cases if case["alert_rule_test"][0]["exp_alerts"]}
    quiet = {case["alert_rule_test"][0]["alertname"] for case in cases if not case["alert_rule_test"][0]["exp_alerts"]}

    names = {rule["alert"] for rule in rules("alert")}
    assert fires == quiet == names


def test_versions_of_models_have_the_day_that_an_alert_reads(model):
    """DetectorModelOld would be quiet for ever about versions of another form."""
    (rule,) = (rule for rule in rules("alert") if rule["alert"] == "DetectorModelOld")
    (form,) = re.findall(r'version=~"([^"]+)"', rule["expr"])
    manifest = load_model(model).manifest

    assert re.fullmatch(form, manifest.version)
    assert manifest.version[:8] == manifest.created_at[:10].replace("-", "")


def test_every_alert_says_what_to_do():
    """Each has a summary, a description, a severity, and a runbook that exists and names it."""
    for rule in rules("alert"):
        notes = rule["annotations"]
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert notes["summary"], rule["alert"]
        assert notes["description"], rule["alert"]
        assert rule["alert"] in (ROOT / notes["runbook_url"]).read_text()


def test_every_recorded_series_is_used():
    """A recording rule that nothing reads costs at each evaluation."""
    texts = [query.expression for query in dashboard_queries()]
    texts += [rule["expr"] for kind in ("alert", "record") for rule in rules(kind)]

    assert [rule["record"] for rule in rules("record") if not any(rule["record"] in text for text in texts)] == []


def test_alertmanager_takes_its_configuration():
    """Where amtool is there: routes, receivers and inhibitions are valid, and no alert goes nowhere."""
    configuration = DEPLOY / "alertmanager" / "alertmanager.yml"
    _run("amtool", "check-config", configuration)
    for severity in ("critical", "warning", "info"):
        receiver = ("config", "routes", "test", f"--config.file={configuration}", "--verify.receivers=screen")
        _run("amtool", *receiver, f"severity={severity}", "job=detector")
