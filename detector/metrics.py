"""Every metric of the service, in one list. No label ever holds a host, a process, a user or free text."""

import platform
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from detector import __version__

STAGES = ("decode", "score", "deliver", "commit")
LABELS = ("benign", "suspicious")
"""By value: a label or a verdict of 0 is benign, of 1 suspicious."""

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_RECORDS = (1, 5, 10, 50, 100, 250, 500, 1000, 1500, 2000, 5000, 10000)
_SCORES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


class BatchHistogram(Collector):
    """A histogram that takes a whole batch of values at once.

    `prometheus_client.Histogram` takes them one by one, at about 1 µs each: as much as scoring the event.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: tuple[float, ...],
        registry: CollectorRegistry,
        label: str = "",
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._edges = np.array(buckets, dtype=np.float64)
        self._label_names = [label] if label else []
        self._lock = threading.Lock()
        self._counts: dict[str, npt.NDArray[np.int64]] = {}
        self._sums: dict[str, float] = {}
        if not label:
            self.expect("")
        registry.register(self)

    def expect(self, label_value: str) -> None:
        """Show this label value from the start, at zero."""
        self._counts[label_value] = np.zeros(len(self._edges) + 1, dtype=np.int64)
        self._sums[label_value] = 0.0

    def observe(self, value: float, label_value: str = "") -> None:
        """Count one value."""
        self.observe_all(np.array([value]), label_value)

    def observe_all(self, values: npt.NDArray[np.float64], label_value: str = "") -> None:
        """Count every value of an array of shape `[n]`."""
        buckets = np.searchsorted(self._edges, values, side="left")
        counts = np.bincount(buckets, minlength=len(self._edges) + 1)
        with self._lock:
            self._counts[label_value] += counts
            self._sums[label_value] += float(values.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The histogram as Prometheus reads it."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._label_names)
        with self._lock:
            for label_value, counts in self._counts.items():
                family.add_metric(
                    [label_value] if self._label_names else [],
                    self._buckets(counts),
                    sum_value=self._sums[label_value],
                )
        yield family

    def _buckets(self, counts: npt.NDArray[np.int64]) -> list[tuple[str, float]]:
        edges = [*map(prometheus_client.utils.floatToGoString, self._edges), "+Inf"]
        return list(zip(edges, map(float, counts.cumsum()), strict=True))


class Metrics:
    """The metrics of one process, on a registry of their own."""

    def __init__(self, *, client: str, severities: Iterable[str], reject_reasons: Iterable[str]) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()

        def counter(name: str, documentation: str, labels: Iterable[str] = ()) -> Counter:
            return Counter(name, documentation, labels, registry=registry)

        def gauge(name: str, documentation: str, labels: Iterable[str] = ()) -> Gauge:
            return Gauge(name, documentation, labels, registry=registry)

        def histogram(name: str, documentation: str, buckets: tuple[float, ...], label: str = "") -> BatchHistogram:
            return BatchHistogram(name, documentation, buckets, registry, label)

        # The ledger. At any quiet moment: consumed = scored + dead-lettered; alerts = alert records acknowledged.
        self.consumed = counter("detector_records_consumed_total", "Records read from the events topic.")
        self.scored = counter("detector_records_scored_total", "Records that were events, and got a score.")
        self.dead_lettered = counter(
            "detector_records_dead_lettered_total", "Records written to the dead-letter topic.", ["reason"]
        )
        self.alerts = counter("detector_alerts_total", "Alerts that were acknowledged.", ["severity"])
        self.labelled = counter(
            "detector_labelled_records_total",
            "Scored records that carried a label: live quality.",
            ["label", "verdict"],
        )
        # The work.
        self.batches = counter("detector_batches_total", "Batches finished: every output acknowledged.")
        self.batch_records = histogram("detector_batch_records", "Records in a batch.", _RECORDS)
        self.stage_duration = histogram(
            "detector_stage_duration_seconds", "Time a batch spends in each stage.", _SECONDS, "stage"
        )
        self.event_to_alert = histogram(
            "detector_event_to_alert_seconds",
            "From an event record's timestamp to its alert's acknowledgement.",
            _SECONDS,
        )
        self.score = histogram("detector_score", "Scores given.", _SCORES)
        # Kafka.
        self.lag = gauge("detector_lag_records", "Records behind the end of the partition.", ["partition"])
        self.assigned_partitions = gauge("detector_assigned_partitions", "Partitions assigned to this instance.")
        self.paused = gauge("detector_paused", "1 while reading is paused because delivery has to wait.")
        self.rebalances = counter("detector_rebalances_total", "Changes of the assignment.", ["kind"])
        self.commits = counter("detector_commits_total", "Offset commits that succeeded.")
        self.commit_failures = counter("detector_commit_failures_total", "Offset commits that failed.")
        self.delivery_failures = counter(
            "detector_delivery_failures_total",
            "Records that a topic refused.",
            ["topic"],
        )
        self.offset_resets = counter(
            "detector_offset_resets_total",
            "Times a committed position was gone and reading went on elsewhere.",
        )
        # The model.
        self.model_info = gauge(
            "detector_model_info", "The model that scores; always 1.", ["name", "version", "sha256", "engine"]
        )
        self.model_reloads = counter("detector_model_reloads_total", "Attempts to load another model.", ["result"])
        self.model_loaded = gauge("detector_model_loaded_timestamp_seconds", "When the model was loaded.")
        # The process.
        self.last_progress = gauge(
            "detector_last_progress_timestamp_seconds",
            "When a batch was last finished, or the topic last had none.",
        )
        self.build_info = gauge("detector_build_info", "The build; always 1.", ["version", "python", "client"])

        for metric, values in (
            (self.dead_lettered, reject_reasons),
            (self.alerts, severities),
            (self.rebalances, ("assigned", "revoked", "lost")),
            (self.delivery_failures, ("alerts", "dead_letter")),
            (self.model_reloads, ("loaded", "refused")),
        ):
            for value in values:
                metric.labels(value)
        for label in LABELS:
            for verdict in LABELS:
                self.labelled.labels(label, verdict)
        for stage in STAGES:
            self.stage_duration.expect(stage)
        self.build_info.labels(__version__, platform.python_version(), client).set(1)
        prometheus_client.ProcessCollector(registry=registry)
        prometheus_client.PlatformCollector(registry=registry)
        prometheus_client.GCCollector(registry=registry)

    def value(self, name: str, /, **labels: Any) -> float:
        """The present value of a sample; KeyError when there is none."""
        found = self.registry.get_sample_value(name, {key: str(value) for key, value in labels.items()})
        if found is None:
            raise KeyError(name)
        return found
