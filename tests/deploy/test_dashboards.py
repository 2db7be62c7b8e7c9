"""The committed dashboards."""

import json
import re
from itertools import pairwise

import pytest
import yaml

from deploy.grafana.pictures import Source
from deploy.grafana.source import dashboards
from detector.alerts.severity import SEVERITIES
from detector.events.second_opinion import REASONS
from detector.metrics import Metrics
from tests.deploy.queries import DASHBOARDS, DEPLOY, ROOT, dashboard_queries, rules


def _panels():
    return [
        (path.stem, panel)
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        if panel["type"] != "row"
    ]


def test_committed_json_is_what_the_source_gives():
    """Who changes a dashboard changes its source: `make dashboards` writes the JSON anew."""
    assert {path.name: path.read_text() for path in DASHBOARDS} == dashboards()


def test_every_panel_says_what_it_is_and_what_to_do():
    """At 3 a.m. a panel without a unit, or without a hint, is a riddle."""
    for dashboard, panel in _panels():
        place = f"{dashboard}: {panel.get('title')}"
        assert panel["title"], place
        assert panel["fieldConfig"]["defaults"]["unit"], place
        assert len(panel["description"]) > 20, place
        assert panel["links"], place
        assert panel["targets"], place


def test_runbooks_that_panels_name_exist():
    """A hint that leads nowhere is worse than none."""
    named = {name for _, panel in _panels() for name in re.findall(r"docs/runbooks/[\w.-]+\.md", panel["description"])}

    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_runbooks_that_panels_name_are_links():
    """A path to be typed is none at 3 a.m.; the compose file puts the runbooks where the links lead."""
    served = "./docs/runbooks:/usr/share/grafana/public/docs/runbooks:ro"
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert served in compose["services"]["grafana"]["volumes"]
    for dashboard, panel in _panels():
        named = re.findall(r"docs/runbooks/[\w.-]+\.md", panel["description"])
        links = [link["url"] for link in panel["links"] if "runbooks" in link["url"]]
        assert links == [f"/public/{name}" for name in named], f"{dashboard}: {panel['title']}"


def test_every_variable_changes_something():
    """A choice without an effect misleads; so does a panel of the chosen partitions that shows all."""
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        expressions = [query["expr"] for panel in dashboard["panels"] for query in panel.get("targets", ())]
        for variable in dashboard["templating"]["list"]:
            assert any(f"${variable['name']}" in expression for expression in expressions), (path.stem, variable)
        of_partitions = [expression for expression in expressions if "detector_lag_records{" in expression]
        assert all("$partition" in expression for expression in of_partitions), path.stem


def test_datasource_is_the_provisioned_one():
    """No dashboard asks its reader to choose a data source."""
    (provisioned,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    for path in DASHBOARDS:
        text = path.read_text()
        assert "${DS_" not in text
        assert set(re.findall(r'"type": "prometheus",\s*"uid": "([^"]*)"', text)) == {provisioned["uid"]}


def test_panels_do_not_overlap():
    """Grafana would move one of two, and differently in each version."""
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


def test_every_metric_is_used():
    """A metric that no panel and no rule shows is one that nobody looks at."""
    metrics = Metrics(client="kafka-python", severities=SEVERITIES, reject_reasons=REASONS)
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


def test_pictures_without_a_prometheus_are_one_line():
    """Whoever gives a wrong address reads what to give."""
    with pytest.raises(SystemExit, match=r"^no Prometheus answers at http://127.0.0.1:1: .*: give the address of one$"):
        Source("http://127.0.0.1:1", minutes=1).series("up", "")
