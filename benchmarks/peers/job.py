"""The task of all peers: features, scaler, MLP and alerts; in numpy, the fastest choice for each of them.

The peers' environments do not have `detector` installed: this module reads the model folder and the environment
variables by itself.
"""

import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

BOOTSTRAP_SERVERS = os.environ["DETECTOR_KAFKA__BOOTSTRAP_SERVERS"]
EVENTS_TOPIC = os.environ["DETECTOR_KAFKA__EVENTS_TOPIC"]
ALERTS_TOPIC = os.environ["DETECTOR_KAFKA__ALERTS_TOPIC"]
GROUP_ID = os.environ["DETECTOR_KAFKA__GROUP_ID"]
MAX_RECORDS = int(os.environ["DETECTOR_BATCH__MAX_RECORDS"])
MAX_WAIT_S = int(os.environ["DETECTOR_BATCH__MAX_WAIT_MS"]) / 1000
MODEL = Path(os.environ["DETECTOR_MODEL__PATH"])

_SCHEMA = "detector.alert/1"
_SEVERITIES = ("low", "medium", "high", "critical")


class Source(NamedTuple):
    """The record that an event was read from."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Job:
    """Scores events with the model in a folder, and builds alerts."""

    def __init__(self, folder: Path) -> None:
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.tensors = safetensors.numpy.load_file(folder / "weights.safetensors")
        self.threshold: float = self.manifest["threshold"]
        names = self.manifest["features"]
        transforms = self.manifest.get("transforms") or ["identity"] * len(names)
        self._row = itemgetter(*names)
        self._logged = [column for column, name in enumerate(transforms) if name == "signed_log1p"]
        self._members = [self._layers(prefix) for prefix in self.member_prefixes()]

    def member_prefixes(self) -> list[str]:
        """The prefix of the tensor names of each ensemble member; an empty prefix for a single network."""
        numbers = {name.split(".")[1] for name in self.tensors if name.startswith("members.")}
        return [f"members.{number}." for number in sorted(numbers)] or [""]

    def _layers(self, prefix: str) -> list[tuple[np.ndarray, np.ndarray]]:
        count = len(self.manifest["layers"]) - 1
        names = [f"{prefix}layers.{i}." for i in range(count)]
        return [(self.tensors[f"{name}weight"].T.copy(), self.tensors[f"{name}bias"]) for name in names]

    def features(self, events: Iterable[Mapping[str, Any]]) -> np.ndarray:
        """`[n, 7]` float64, with the manifest's transforms, not scaled yet."""
        matrix = np.array([self._row(event) for event in events], dtype=np.float64)
        for column in self._logged:
            matrix[:, column] = np.copysign(np.log1p(np.abs(matrix[:, column])), matrix[:, column])
        return matrix

    def scores(self, events: Iterable[Mapping[str, Any]]) -> np.ndarray:
        """`[n]`: the probability that each event is suspicious."""
        scaled = (self.features(events) - self.tensors["scaler.mean"]) / self.tensors["scaler.scale"]
        inputs = scaled.astype(np.float32)
        mean: np.ndarray = np.mean([_forward(inputs, layers) for layers in self._members], axis=0)
        return mean

    def alerts(
        self, events: Sequence[Mapping[str, Any]], scores: np.ndarray, sources: Sequence[Source]
    ) -> list[dict[str, Any]]:
        """An alert for each suspicious event."""
        suspicious = np.flatnonzero(scores >= self.threshold).tolist()
        return [self._alert(events[row], float(scores[row]), sources[row]) for row in suspicious]

    def _alert(self, event: Mapping[str, Any], score: float, source: Source) -> dict[str, Any]:
        uri = f"kafka://{source.topic}/{source.partition}/{source.offset}"
        quarter = int(4 * (score - self.threshold) / (1 - self.threshold)) if self.threshold < 1 else 3
        return {
            "schema": _SCHEMA,
            "alert_id": str(uuid.uuid5(uuid.NAMESPACE_URL, uri)),
            "detected_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "score": score,
            "threshold": self.threshold,
            "severity": _SEVERITIES[min(quarter, 3)],
            "model": {
                "name": self.manifest["name"],
                "version": self.manifest["version"],
                "sha256": self.manifest["weights_sha256"],
            },
            "source": source._asdict(),
            "event": event,
        }


def key(alert: Mapping[str, Any]) -> bytes:
    """The key of an alert record."""
    name: str = alert["event"]["hostName"]
    return name.encode()


def headers(alert: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """The headers of an alert record."""
    return [
        ("content-type", b"application/json"),
        ("alert-id", alert["alert_id"].encode()),
        ("schema", _SCHEMA.encode()),
    ]


def _forward(inputs: np.ndarray, layers: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    *hidden_layers, (last_weight, last_bias) = layers
    hidden = inputs
    for weight, bias in hidden_layers:
        hidden = np.maximum(hidden @ weight + bias, 0)
    logits = (hidden @ last_weight + last_bias)[:, 0].astype(np.float64)
    probabilities: np.ndarray = 1 / (1 + np.exp(-logits))
    return probabilities
