"""The job itself, the same for every peer: features, scaler and MLP, alerts; numpy, for it is the fastest for them all.

A peer's environment has no `detector` in it: this reads the model folder and the daemon's own environment variables.
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
    """Where an event was read."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Job:
    """The model of a folder, and the alerts that it gives rise to."""

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
        """What the names of a network's tensors begin with: nothing, or one beginning for each of an ensemble."""
        numbers = {name.split(".")[1] for name in self.tensors if name.startswith("members.")}
        return [f"members.{number}." for number in sorted(numbers)] or [""]

    def _layers(self, prefix: str) -> list[tuple[np.ndarray, np.ndarray]]:
        count = len(self.manifest["layers"]) - 1
        names = [f"{prefix}layers.{i}." for i in range(count)]
        return [(self.tensors[f"{name}weight"].T.copy(), self.tensors[f"{name}bias"]) for name in names]

    def features(self, events: Iterable[Mapping[str, Any]]) -> np.ndarray:
        """`[n, 7]` float64, transformed as the manifest says, not yet scaled."""
        matrix = np.array([self._row(event) for event in events], dtype=np.float64)
        for column in self._logged:
            matrix[:, column] = np.copysign(np.log1p(np.abs(matrix[:, column])), matrix[:, column])
        return matrix

    def scores(self, events: Iterable[Mapping[str, Any]]) -> np.ndarray:
        """`[n]`: the probability that each event is suspicious."""
        scaled = (self.features(events) - self.tensors["scaler.mean"]) / self.tensors["scaler.scale"]
        inputs = scaled.astype(np.float32)
        return np.mean([_forward(inputs, layers) for layers in self._members], axis=0)

    def alerts(
        self, events: Sequence[Mapping[str, Any]], scores: np.ndarray, sources: Sequence[Source]
    ) -> list[dict[str, Any]]:
        """The alerts for those of the events that are suspicious."""
        suspicious = np.flatnonzero(scores >= self.threshold).tolist()
        return [self._alert(events[place], float(scores[place]), sources[place]) for place in suspicious]

    def _alert(self, event: Mapping[str, Any], score: float, source: Source) -> dict[str, Any]:
        where = f"kafka://{source.topic}/{source.partition}/{source.offset}"
        quarter = int(4 * (score - self.threshold) / (1 - self.threshold)) if self.threshold < 1 else 3
        return {
            "schema": _SCHEMA,
            "alert_id": str(uuid.uuid5(uuid.NAMESPACE_URL, where)),
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
    """An alert's key."""
    name: str = alert["event"]["hostName"]
    return name.encode()


def headers(alert: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """An alert's headers."""
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
    return 1 / (1 + np.exp(-logits))
