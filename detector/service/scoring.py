"""Record values to scores: the path that the daemon and `detector score` share."""

from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from detector.alerts.alert import AlertModel
from detector.events.decode import Decode, DecodedBatch, Decoder
from detector.events.source import load_source
from detector.features.beth import BETH
from detector.model.engines import Engine
from detector.model.folder import load_model
from detector.settings import ModelSettings

_SOURCE = "beth"
"""The event source; Tracee's legacy JSON has the same form."""


class Scores(NamedTuple):
    """A decoded batch with its scores; row `i` of each array is the record at `decoded.accepted[i]` in the batch."""

    decoded: DecodedBatch
    scores: npt.NDArray[np.float64]
    """`[n]`, each in [0, 1]."""
    suspicious: npt.NDArray[np.bool_]
    """`[n]`: whether the score is at or above the threshold."""
    decode_s: float
    score_s: float


class Scorer:
    """A loaded model with its threshold and the decoder of its events.

    Args:
        identity: the model, for alerts and metrics.
        engine: computes the scores.
        engine_name: for metrics and logs.
        threshold: the score at or above which an event is suspicious.
        decode: makes one column for each of the model's features, in the order of the feature set.
    """

    def __init__(
        self, identity: AlertModel, engine: Engine, engine_name: str, threshold: float, decode: Decode
    ) -> None:
        self.identity = identity
        self.engine_name = engine_name
        self.threshold = threshold
        self._engine = engine
        self._decode = decode

    @property
    def fields(self) -> Sequence[str]:
        """The event fields that the model needs."""
        return self._decode.fields

    @classmethod
    def load(cls, settings: ModelSettings) -> Self:
        """Load the model of the settings.

        Raises:
            ModelError: it is missing or invalid.
        """
        model = load_model(settings.path)
        manifest = model.manifest
        threshold = manifest.threshold if settings.threshold is None else settings.threshold
        identity = AlertModel(manifest.name, manifest.version, manifest.weights_sha256)
        decode = Decoder(load_source(_SOURCE), BETH.select(manifest.features).fields)
        return cls(identity, model.engine(settings.engine), settings.engine, threshold, decode)

    def score(self, values: Sequence[bytes | None]) -> Scores:
        """Decode and score a batch of record values; no value raises."""
        started = perf_counter()
        decoded = self._decode(values)
        decoded_at = perf_counter()
        scores = self._engine.score(decoded.fields)
        done = perf_counter()
        return Scores(decoded, scores, scores >= self.threshold, decoded_at - started, done - decoded_at)
