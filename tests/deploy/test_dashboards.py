"""The committed dashboards."""

import json
import re
from itertools import pairwise
from typing import Any

import pytest
import yaml

from deploy.grafana.pictures import History
from deploy.grafana.source import dashboards
from detector.alerts.severity import SEVERITIES
from detector.events.strict_decode import REASONS
from detector.metrics import Metrics
from tests.deploy.queries import DASHBOARDS, DEPLOY, ROOT, dashboard_queries, rules


def _panels() -> list[tuple[str, dict[str, Any]]]:
    """Each panel, with the name of its dashboard."""
    return [
        (path.stem, panel)
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        if panel["type"] != "row"
    ]


def test_committed_json_matches_its_source() -> None:
    """Otherwise a change of a dashboard's source would never reach Grafana."""
    assert {path.name: path.read_text() for path in DASHBOARDS} == dashboards()


def test_every_panel_has_title_unit_description_and_links() -> None:
    """Otherwise nobody could read the panel at 3 a.m., or know what to do."""
    for dashboard, panel in _panels():
        name = f"{dashboard}: {panel.get('title')}"
        assert panel["title"], name
        assert panel["fieldConfig"]["defaults"]["unit"], name
        assert len(panel["description"]) > 20, name
        assert panel["links"], name
        assert panel["targets"], name


def test_runbooks_named_in_panels_exist() -> None:
    """Otherwise a panel would name a runbook that nobody can find."""
    named = {name for _, panel in _panels() for name in re.findall(r"docs/runbooks/[\w.-]+\.md", panel["description"])}

    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_runbooks_named_in_panels_are_linked() -> None:
    """Otherwise an operator would have to search for a runbook during an incident."""
    served = "./docs/runbooks:/usr/share/grafana/public/docs/runbooks:ro"
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert served in compose["services"]["grafana"]["volumes"]
    for dashboard, panel in _panels():
        named = re.findall(r"docs/runbooks/[\w.-]+\.md", panel["description"])
        links = [link["url"] for link in panel["links"] if "runbooks" in link["url"]]
        assert links == [f"/public/{name}" for name in named], f"{dashboard}: {panel['title']}"


def test_every_variable_has_an_effect() -> None:
    """Otherwise an operator would select something, for example a partition, and still see the data of all."""
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        expressions = [query["expr"] for panel in dashboard["panels"] for query in panel.get("targets", ())]
        for variable in dashboard["templating"]["list"]:
            assert any(f"${variable['name']}" in expression for expression in expressions), (path.stem, variable)
        lag_queries = [expression for expression in expressions if "detector_lag_records{" in expression]
        assert all("$partition" in expression for expression in lag_queries), path.stem


def test_data_source_is_the_provisioned_one() -> None:
    """Otherwise the dashboards would show no data until somebody selects a data source."""
    (provisioned,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    for path in DASHBOARDS:
        text = path.read_text()
        assert "${DS_" not in text
        assert set(re.findall(r'"type": "prometheus",\s*"uid": "([^"]*)"', text)) == {provisioned["uid"]}


def test_panels_do_not_overlap() -> None:
    """Otherwise Grafana would move a panel, to a place that depends on its version."""
    for path in DASHBOARDS:
        taken: dict[tuple[int, int], str] = {}
        for panel in json.loads(path.read_text())["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24, panel["title"]
            for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                assert cell not in taken, (panel["title"], taken.get(cell))
                taken[cell] = panel["title"]
        ids = [panel["id"] for panel in json.loads(path.read_text())["panels"]]
        assert all(a < b for a, b in pairwise(ids))


def test_every_metric_is_used() -> None:
    """Otherwise Prometheus would store a metric that no panel shows and no rule uses."""
    metrics = Metrics(client="kafka-python", severities=SEVERITIES, dead_letter_reasons=REASONS)
    text = " ".join(
        [
            *(query.expression for query in dashboard_queries()),
            *(rule["expr"] for kind in ("alert", "record") for rule in rules(kind)),
        ]
    )
    names = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in metrics.registry.collect()
        if family.name.startswith("detector_")
    }

    assert len(names) > 20
    assert sorted(name for name in names if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", text)) == []


def test_pictures_without_a_prometheus_fail_with_one_line() -> None:
    """Otherwise a wrong address would give a traceback instead of a line that says what to do."""
    message = r"^Prometheus at http://127.0.0.1:1 is not responding: .*; pass the address of a running Prometheus$"
    with pytest.raises(SystemExit, match=message):
        History("http://127.0.0.1:1", minutes=1).series("up", "")
