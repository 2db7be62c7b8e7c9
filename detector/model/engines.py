"""Engines compute scores from a matrix of features."""

from typing import Literal, Protocol

import numpy as np

from detector.errors import UsageError
from detector.model.network import Float64s, Network

EngineName = Literal["torch", "numpy"]


class Engine(Protocol):
    """Scores batches; all engines give the same scores to 1e-6 for the same network and any event.

    Engines therefore compute in float64. In float32 the result of a sum depends on the order of its terms, and when
    large terms cancel, that error is larger than 1e-6.
    """

    def score(self, features: Float64s) -> Float64s:
        """The probability that each event is suspicious.

        Args:
            features: `[n, f]`, the model's features in the order of the feature set; n may be 0.

        Returns:
            `[n]`, each in [0, 1].
        """
        ...


class NumpyEngine:
    """Forward passes in numpy, for installations without torch."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._members = [
            [(layer.weight.T.astype(np.float64), layer.bias.astype(np.float64)) for layer in layers]
            for layers in network.members
        ]

    def score(self, features: Float64s) -> Float64s:
        """See `Engine.score`."""
        inputs = self._network.inputs(features).astype(np.float64)
        total = np.zeros(len(inputs))
        for layers in self._members:
            hidden = inputs
            for weight, bias in layers[:-1]:
                hidden = np.maximum(hidden @ weight + bias, 0)
            weight, bias = layers[-1]
            total += _sigmoid((hidden @ weight + bias)[:, 0])
        return total / len(self._members)


def build_engine(name: EngineName, network: Network) -> Engine:
    """The engine with this name; only the torch engine imports torch.

    Raises:
        UsageError: torch is not installed.
    """
    if name == "numpy":
        return NumpyEngine(network)
    try:
        from detector.model.torch_engine import TorchEngine  # noqa: PLC0415 - takes 2 s and 500 MB
    except ModuleNotFoundError as error:
        raise UsageError(
            "DETECTOR_MODEL__ENGINE=torch: torch is not installed; install it, use an image that has it, or set "
            "DETECTOR_MODEL__ENGINE=numpy, which gives the same scores"
        ) from error

    return TorchEngine(network)


def _sigmoid(logits: Float64s) -> Float64s:
    # exp of a large positive logit would overflow; exp of its negative absolute value never does.
    decayed = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + decayed), decayed / (1 + decayed))
