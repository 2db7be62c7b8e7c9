"""What a dashboard and its panels are, and the expressions that panels are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

HERE = 'job="detector",instance=~"$instance"'
"""Labels of the instances that the reader chose."""


@dataclass(frozen=True)
class Panel:
    """A panel: what it shows, and what its reader is to do.

    Args:
        title: what is shown.
        unit: Grafana's name of the unit.
        wrong: what it looks like when something is wrong, and what to do then; the panel links to each
            docs/runbooks/….md that it names.
        queries: expressions by legend.
        kind: a line over time, or one figure.
        width: in columns of 24.
    """

    title: str
    unit: str
    wrong: str
    queries: dict[str, str]
    kind: Literal["lines", "figure"] = "lines"
    width: int = 8


@dataclass(frozen=True)
class Page:
    """A dashboard: panels by the title of their row."""

    uid: str
    title: str
    description: str
    rows: Mapping[str, Sequence[Panel]]


def rate(metric: str, by: str = "", labels: str = "") -> str:
    """Per second, summed over what `by` does not name."""
    over = f" by ({by})" if by else ""
    return f"sum{over} (rate({metric}{{{HERE}{labels}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "") -> str:
    """The value below which this share of a histogram's observations lies."""
    return f"histogram_quantile({share:g}, {rate(f'{histogram}_bucket', f'{by}, le' if by else 'le')})"


def mean(histogram: str, by: str = "") -> str:
    """The mean of a histogram's observations."""
    return f"{rate(f'{histogram}_sum', by)} / {rate(f'{histogram}_count', by)}"


def gauge(metric: str, labels: str = "") -> str:
    """As it is."""
    return f"{metric}{{{HERE}{labels}}}"
