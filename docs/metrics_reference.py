"""Writes docs/reference/metrics.md from the list of metrics: `python docs/metrics_reference.py`."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric

from detector.alerts.severity import SEVERITIES
from detector.events.strict_decode import REASONS
from detector.metrics import Metrics

PAGE = Path(__file__).parent / "reference" / "metrics.md"
_INTRODUCTION = """# Metrics

All metrics that the service exports at `GET /metrics`: look here when you write a query, a panel or an alert rule.
`make docs` writes this page from the code. The [dashboards and rules](../how-to/monitor.md) use all of them.

Look at these first:

| metric | shows |
|---|---|
| `detector_lag_records` | the lag of each partition |
| `detector_records_scored_total` | the rate of scored events |
| `detector_records_dead_lettered_total` | dead letters, by reason |
| `detector_alerts_total` | alerts, by severity |
| `detector_event_to_alert_seconds` | the time from an event to its alert |

All label values in the table below exist from the start, at zero, so a rate over them is never missing. Only the label
`partition` changes, with the assignment. No label holds a host, a process, a user or free text: the number of series
depends only on the number of partitions.

Counters start at zero with the process, so look at rates. Whenever the service is idle, consumed = scored +
dead-lettered, and alerts counted = alert records acknowledged.

The Python client of Prometheus adds `process_*`, `python_info` and `python_gc_*`
([its documentation](https://prometheus.github.io/client_python/)).

## All metrics
"""
_BUCKETS = """## Buckets

Upper bounds of the histograms' buckets. The last bucket is always `+Inf`. A bound belongs to its bucket: a score of
exactly 0.5 is counted in the bucket that ends at 0.5.
"""


def page() -> str:
    """The whole page."""
    families = _families()
    return "\n".join([_INTRODUCTION, *_table(families), "", _BUCKETS, *_buckets(families), ""])


def _families() -> list[Metric]:
    metrics = Metrics(client="kafka-python", severities=SEVERITIES, dead_letter_reasons=REASONS)
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
