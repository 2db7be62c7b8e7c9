"""Bytes to verdicts: the one path that the daemon and `detector score` share."""

from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from detector.alerts.alert import AlertModel
from detector.events.decode import Decoded, decode
from detector.model.engines import Engine
from detector.model.folder import load_model
from detector.settings import ModelSettings


class Scored(NamedTuple):
    """A batch with its scores; row `i` of each array is the event at `decoded.accepted[i]` in the batch."""

    decoded: Decoded
    scores: npt.NDArray[np.float64]
    suspicious: npt.NDArray[np.bool_]
    decode_s: float
    score_s: float


class Scorer:
    """A loaded model with the threshold that applies."""

    def __init__(self, identity: AlertModel, engine: Engine, engine_name: str, threshold: float) -> None:
        self.identity = identity
        self.engine_name = engine_name
        self.threshold = threshold
        self._engine = engine

    @classmethod
    def load(cls, settings: ModelSettings) -> Self:
        """Load the model that the settings name.

        Raises:
            ModelError: it is missing, or was refused.
        """
        model = load_model(settings.path)
        manifest = model.manifest
        threshold = manifest.threshold if settings.threshold is None else settings.threshold
        identity = AlertModel(manifest.name, manifest.version, manifest.weights_sha256)
        return cls(identity, model.engine(settings.engine), settings.engine, threshold)

    def score(self, values: Sequence[bytes | None]) -> Scored:
        """Decode and score a batch of record values; no input raises."""
        started = perf_counter()
        decoded = decode(values)
        read = perf_counter()
        scores = self._engine.score(decoded.features)
        done = perf_counter()
        return Scored(decoded, scores, scores >= self.threshold, read - started, done - read)
