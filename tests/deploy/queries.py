"""What the dashboards and the rules ask Prometheus, and a client for asking."""

import json
import math
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))

_NOT_NOW = 500
"""From here on a status is about the server and not about the question."""

_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
"""Names that are no series."""

_STRING_OR_SELECTOR = re.compile(
    r"""
    "[^"]*"                                         # goes first, so that nothing is looked for in a string
    | (?<![\w:])(?!(?:and|or|unless|bool|offset)\b)
      ([a-zA-Z_:][\w:]*(?![\w:]|\s*\()              # no function
      (?:\{(?:"[^"]*"|[^"}])*\})?)                  # a brace in a string ends nothing
    """,
    re.VERBOSE,
)
_ALTERNATIVES = re.compile(r'=~"(\w+(?:\|\w+)+)"')

RARE = {
    "annotation Model loaded": "only at the moment at which a model is loaded",
    "annotation Rebalance": "only at the moment of a rebalance",
}
"""Queries that may return nothing while all is well, with the reason."""


@dataclass(frozen=True)
class Query:
    """An expression, and where it stands."""

    place: str
    expression: str

    def runnable(self, rate_interval: str) -> str:
        """With Grafana's variables filled in: everything chosen."""
        filled = self.expression.replace("$__rate_interval", rate_interval)
        return filled.replace("$instance", ".*").replace("$partition", ".*")


def dashboard_queries() -> list[Query]:
    """Every expression of every panel and annotation."""
    found = []
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            found += [Query(f"{path.stem}: {panel['title']}", query["expr"]) for query in panel.get("targets", ())]
        for annotation in dashboard["annotations"]["list"]:
            found.append(Query(f"annotation {annotation['name']}", annotation["expr"]))
    return found


def rules(kind: str) -> list[dict[str, Any]]:
    """The rules that have `kind`: `alert` or `record`."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def selectors(expression: str) -> set[str]:
    """Every vector selector with its matchers; of `=~"a|b"` one each: a wrong name would hide behind a right one."""
    open_ones = {found for found in _STRING_OR_SELECTOR.findall(_LABELS.sub("", expression)) if found}
    done = set()
    while open_ones:
        selector = open_ones.pop()
        if names := _ALTERNATIVES.search(selector):
            before, after = selector[: names.start()], selector[names.end() :]
            open_ones |= {f'{before}="{name}"{after}' for name in names[1].split("|")}
        else:
            done.add(selector)
    return done


class Prometheus:
    """The HTTP API of a server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer; AssertionError with Prometheus' own words when it refuses."""
        try:
            with urllib.request.urlopen(
                f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=20
            ) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code >= _NOT_NOW:
                raise
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def values(self, expression: str) -> list[float]:
        """The values of an expression now; what is not a number is no value."""
        found = [float(series["value"][1]) for series in self.get("query", query=expression)["result"]]
        return [value for value in found if not math.isnan(value)]

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            self.get("query", query="1")
        except OSError:
            return False
        return True
