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
"""The values of the metric labels `label` and `verdict`, by number: 0 is benign, 1 is suspicious."""

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_RECORDS = (1, 5, 10, 50, 100, 250, 500, 1000, 1500, 2000, 5000, 10000)
_SCORES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


class BatchHistogram(Collector):
    """A histogram that counts a whole batch of values at once.

    `prometheus_client.Histogram` counts one value for each call, which takes about 1 µs, as long as scoring.

    Args:
        name: the metric's name.
        documentation: its help text.
        buckets: the buckets' upper bounds, ascending, without infinity.
        registry: where it is registered.
        label: the name of its label, if it has one.
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
        self._bounds = np.array(buckets, dtype=np.float64)
        self._label_names = [label] if label else []
        self._lock = threading.Lock()
        self._counts: dict[str, npt.NDArray[np.int64]] = {}
        self._sums: dict[str, float] = {}
        if not label:
            self.add_label_value("")
        registry.register(self)

    def add_label_value(self, label_value: str) -> None:
        """Export this value of the label from the start, at zero; required before it is observed."""
        self._counts[label_value] = np.zeros(len(self._bounds) + 1, dtype=np.int64)
        self._sums[label_value] = 0.0

    def observe(self, value: float, label_value: str = "") -> None:
        """Count one value."""
        self.observe_all(np.array([value]), label_value)

    def observe_all(self, values: npt.NDArray[np.float64], label_value: str = "") -> None:
        """Count every value of an array of shape `[n]`."""
        buckets = np.searchsorted(self._bounds, values, side="left")
        counts = np.bincount(buckets, minlength=len(self._bounds) + 1)
        with self._lock:
            self._counts[label_value] += counts
            self._sums[label_value] += float(values.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The histogram in the form that the registry exports."""
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
        bounds = [*map(prometheus_client.utils.floatToGoString, self._bounds), "+Inf"]
        return list(zip(bounds, map(float, counts.cumsum()), strict=True))


class Metrics:
    """The metrics of one process, on a registry of their own."""

    def __init__(self, *, client: str, severities: Iterable[str], dead_letter_reasons: Iterable[str]) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()

        def counter(name: str, documentation: str, labels: Iterable[str] = ()) -> Counter:
            return Counter(name, documentation, labels, registry=registry)

        def gauge(name: str, documentation: str, labels: Iterable[str] = ()) -> Gauge:
            return Gauge(name, documentation, labels, registry=registry)

        def histogram(name: str, documentation: str, buckets: tuple[float, ...], label: str = "") -> BatchHistogram:
            return BatchHistogram(name, documentation, buckets, registry, label)

        # Accounting. Whenever the service is idle: consumed = scored + dead-lettered, and alerts = acknowledged alerts.
        self.consumed = counter(
            "detector_records_consumed_total", "Records of the events topic that were scored or dead-lettered."
        )
        self.scored = counter("detector_records_scored_total", "Records that were decoded into an event, and scored.")
        self.dead_lettered = counter(
            "detector_records_dead_lettered_total",
            "Invalid records written to the dead-letter topic, by reason.",
            ["reason"],
        )
        self.alerts = counter(
            "detector_alerts_total", "Alerts written to the alerts topic and acknowledged, by severity.", ["severity"]
        )
        self.labelled = counter(
            "detector_labelled_records_total",
            "Scored events that have a label, by this label and by the model's verdict.",
            ["label", "verdict"],
        )
        # Batches.
        self.batches = counter(
            "detector_batches_total", "Batches of which every alert and dead letter was acknowledged."
        )
        self.batch_records = histogram("detector_batch_records", "Number of records in a batch.", _RECORDS)
        self.stage_duration = histogram(
            "detector_stage_duration_seconds",
            "Time that one batch takes in a stage, in seconds; `commit` is the time until the brokers' answer.",
            _SECONDS,
            "stage",
        )
        self.event_to_alert = histogram(
            "detector_event_to_alert_seconds",
            "Time from the timestamp of the event's Kafka record to the acknowledgement of its alert, in seconds.",
            _SECONDS,
        )
        self.score = histogram("detector_score", "Scores of events, from 0 to 1.", _SCORES)
        # Kafka.
        self.lag = gauge(
            "detector_lag_records",
            "Consumer lag: records of an assigned partition that this instance has not read yet.",
            ["partition"],
        )
        self.assigned_partitions = gauge(
            "detector_assigned_partitions", "Partitions of the events topic that are assigned to this instance."
        )
        self.paused = gauge(
            "detector_paused",
            "1 while reading is paused because alerts or dead letters are not acknowledged, otherwise 0.",
        )
        self.rebalances = counter(
            "detector_rebalances_total",
            "Rebalances that changed which partitions this instance has, by kind.",
            ["kind"],
        )
        self.commits = counter(
            "detector_commits_total", "Offset commits that succeeded; with exactly-once, committed transactions."
        )
        self.commit_failures = counter(
            "detector_commit_failures_total", "Offset commits that failed; with exactly-once, aborted transactions."
        )
        self.delivery_failures = counter(
            "detector_delivery_failures_total",
            "Failed attempts to write an alert or dead letter, by topic; each is sent again unless the error is fatal.",
            ["topic"],
        )
        self.offset_resets = counter(
            "detector_offset_resets_total",
            "Partitions whose committed offset no longer existed, so that reading resumed at another offset.",
        )
        # The model.
        self.model_info = gauge(
            "detector_model_info",
            "The current model and the engine that computes its scores; the value is always 1.",
            ["name", "version", "sha256", "engine"],
        )
        self.model_reloads = counter(
            "detector_model_reloads_total",
            "Attempts to load a new model while the service runs, by result; after `refused` the current model stays.",
            ["result"],
        )
        self.model_loaded = gauge(
            "detector_model_loaded_timestamp_seconds", "Unix time at which the current model was loaded."
        )
        # The process.
        self.last_progress = gauge(
            "detector_last_progress_timestamp_seconds",
            "Unix time at which the service last finished a batch or found no more records to read.",
        )
        self.build_info = gauge(
            "detector_build_info",
            "The versions of the service and of Python, and the Kafka client; the value is always 1.",
            ["version", "python", "client"],
        )

        for metric, values in (
            (self.dead_lettered, dead_letter_reasons),
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
            self.stage_duration.add_label_value(stage)
        self.build_info.labels(__version__, platform.python_version(), client).set(1)
        prometheus_client.ProcessCollector(registry=registry)
        prometheus_client.PlatformCollector(registry=registry)
        prometheus_client.GCCollector(registry=registry)

    def value(self, name: str, /, **labels: Any) -> float:
        """The current value of a sample.

        Raises:
            KeyError: there is no sample with this name and these labels.
        """
        found = self.registry.get_sample_value(name, {key: str(value) for key, value in labels.items()})
        if found is None:
            raise KeyError(name)
        return found
