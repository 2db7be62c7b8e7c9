"""The PromQL expressions of the dashboards and rules, and a client of Prometheus' HTTP API to run them."""

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

_SERVER_ERROR = 500
"""A status from here on is about the server, a lower one about the query."""

_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
"""Label lists: these names are not series."""

_STRING_OR_SELECTOR = re.compile(
    r"""
    "[^"]*"                                         # a string, matched first to skip the names inside it
    | (?<![\w:])(?!(?:and|or|unless|bool|offset)\b)
      ([a-zA-Z_:][\w:]*(?![\w:]|\s*\()              # a metric name, not a function
      (?:\{(?:"[^"]*"|[^"}])*\})?)                  # its label matchers; a brace inside a string does not end them
    """,
    re.VERBOSE,
)
_ALTERNATIVES = re.compile(r'=~"(\w+(?:\|\w+)+)"')

OFTEN_EMPTY = {
    "annotation Model loaded": "returns a value only at the moment when a model is loaded",
    "annotation Rebalance": "returns a value only at the moment of a rebalance",
}
"""Queries that may return nothing although everything works, with the reason."""


@dataclass(frozen=True)
class Query:
    """A PromQL expression, with the name of the panel or annotation that it comes from."""

    name: str
    expression: str

    def runnable(self, rate_interval: str) -> str:
        """The expression with Grafana's variables filled in, all instances and partitions selected."""
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
    """The alerting rules (`kind` is `alert`) or the recording rules (`record`)."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def selectors(expression: str) -> set[str]:
    """Every vector selector with its label matchers.

    A matcher such as `=~"a|b"` gives one selector for each alternative, because a misspelled value would otherwise go
    unnoticed next to a correct one.
    """
    to_expand = {found for found in _STRING_OR_SELECTOR.findall(_LABELS.sub("", expression)) if found}
    expanded = set()
    while to_expand:
        selector = to_expand.pop()
        if values := _ALTERNATIVES.search(selector):
            before, after = selector[: values.start()], selector[values.end() :]
            to_expand |= {f'{before}="{value}"{after}' for value in values[1].split("|")}
        else:
            expanded.add(selector)
    return expanded


class Prometheus:
    """The HTTP API of a Prometheus server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str) -> Any:
        """The `data` of a response.

        Raises:
            AssertionError: Prometheus rejected the query; the message has its reason.
            OSError: the server is unreachable, or the error is the server's own.
        """
        try:
            with urllib.request.urlopen(
                f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=20
            ) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            if error.code >= _SERVER_ERROR:
                raise
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def values(self, expression: str) -> list[float]:
        """The current values of an expression, without NaN."""
        found = [float(series["value"][1]) for series in self.get("query", query=expression)["result"]]
        return [value for value in found if not math.isnan(value)]

    def is_up(self) -> bool:
        """Whether the server responds."""
        try:
            self.get("query", query="1")
        except OSError:
            return False
        return True
