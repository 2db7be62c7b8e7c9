"""Writes docs/metrics.md from the list of metrics: `python docs/metrics_reference.py`."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric

from detector.alerts.severity import SEVERITIES
from detector.events.second_opinion import REASONS
from detector.metrics import Metrics

PAGE = Path(__file__).parent / "metrics.md"
_INTRODUCTION = """# Metrics

This page is made from the list in `detector/metrics.py` by `make docs`: what `GET /metrics` shows.

All values of the labels below are there from the start, at zero, so that a rate over them is never missing; only
partitions come and go with their assignment. No label ever holds a host, a process, a user or free text, so the number
of series depends on the number of partitions alone. At any quiet moment consumed = scored + dead-lettered, and alerts
counted = alert records acknowledged. Counters start at zero with the process: look at rates. The
[dashboards and rules](deploy.md#dashboards) use all of them.

Besides, there are `process_*`, `python_info` and `python_gc_*` of Prometheus'
[client for Python](https://prometheus.github.io/client_python/).
"""
_BUCKETS = """## Buckets

Upper bounds; behind the last is always `+Inf`. A score of 0.5 is in the bucket that ends there, not in the next one.
"""


def page() -> str:
    """The whole page."""
    families = _families()
    return "\n".join([_INTRODUCTION, *_table(families), "", _BUCKETS, *_buckets(families), ""])


def _families() -> list[Metric]:
    metrics = Metrics(client="kafka-python", severities=SEVERITIES, reject_reasons=REASONS)
    # Without a model and a partition there is no sample that would name the labels.
    metrics.model_info.labels("", "", "", "")
    metrics.lag.labels("")
    return [family for family in metrics.registry.collect() if family.name.startswith("detector_")]


def _table(families: list[Metric]) -> Iterator[str]:
    yield "| name | type | labels | meaning |\n|---|---|---|---|"
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield f"| `{name}` | {family.type} | {_labels(family)} | {family.documentation} |"


def _labels(family: Metric) -> str:
    """Names of the labels, with their values where these are enumerated."""
    names = [name for name in family.samples[0].labels if name != "le"]
    if family.name.endswith("_info"):
        return ", ".join(f"`{name}`" for name in names)
    return "; ".join(f"`{name}`{_values(family, name)}" for name in names)


def _values(family: Metric, label: str) -> str:
    values = {sample.labels[label]: None for sample in family.samples if sample.labels[label]}
    return ": " + ", ".join(f"`{value}`" for value in values) if values else ""


def _buckets(families: list[Metric]) -> Iterator[str]:
    yield "| histogram | upper bounds |\n|---|---|"
    for family in families:
        if family.type == "histogram":
            edges = dict.fromkeys(s.labels["le"] for s in family.samples if s.name.endswith("_bucket"))
            yield f"| `{family.name}` | {', '.join(edge.removesuffix('.0') for edge in edges if edge != '+Inf')} |"


if __name__ == "__main__":
    PAGE.write_text(page())
