"""What a dashboard and a panel consist of, and helpers for the PromQL expressions of the panels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

SELECTED = 'job="detector",instance=~"$instance"'
"""Label matchers for the instances selected in the dashboard's `instance` variable."""


@dataclass(frozen=True)
class Panel:
    """A panel.

    Args:
        title: what the panel shows.
        unit: Grafana's name of the unit.
        description: what the panel looks like when something is wrong, and what to do then; the panel links to
            each docs/runbooks/….md in this text.
        queries: PromQL expressions by legend.
        kind: Grafana's panel type: values over time, or only the current value.
        width: in grid columns; a row has 24.
    """

    title: str
    unit: str
    description: str
    queries: dict[str, str]
    kind: Literal["timeseries", "stat"] = "timeseries"
    width: int = 8


@dataclass(frozen=True)
class Dashboard:
    """A dashboard: panels by the title of their row."""

    uid: str
    title: str
    description: str
    rows: Mapping[str, Sequence[Panel]]


def rate(metric: str, by: str = "", labels: str = "") -> str:
    """The per-second rate of a counter, summed over all labels but those in `by`."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{{{SELECTED}{labels}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "") -> str:
    """A quantile of a histogram's observations; `share` is between 0 and 1."""
    return f"histogram_quantile({share:g}, {rate(f'{histogram}_bucket', f'{by}, le' if by else 'le')})"


def mean(histogram: str, by: str = "") -> str:
    """The mean of a histogram's observations."""
    return f"{rate(f'{histogram}_sum', by)} / {rate(f'{histogram}_count', by)}"


def gauge(metric: str, labels: str = "") -> str:
    """The current value of a metric for each selected instance."""
    return f"{metric}{{{SELECTED}{labels}}}"
