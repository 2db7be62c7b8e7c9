"""Engines: what turns a matrix of features into scores."""

from typing import Literal, Protocol

import numpy as np

from detector.errors import UsageError
from detector.model.network import Float64s, Network

EngineName = Literal["torch", "numpy"]


class Engine(Protocol):
    """Scores batches; two engines agree to 1e-6 on the same network, for any event.

    So both add up in float64: in float32 the order of a sum decides about its last digits, and large terms that cancel
    leave nothing else.
    """

    def score(self, features: Float64s) -> Float64s:
        """The probability that each event is suspicious.

        Args:
            features: `[n, 7]`, columns in the order of `FEATURES`; n may be 0.

        Returns:
            `[n]`, each in [0, 1].
        """
        ...


class NumpyEngine:
    """Forward passes in numpy: for hosts that should not carry torch."""

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
    """The engine of that name; torch is imported only when it is asked for.

    Raises:
        UsageError: its library is not installed.
    """
    if name == "numpy":
        return NumpyEngine(network)
    try:
        from detector.model.torch_engine import TorchEngine  # noqa: PLC0415 - 2 s and 500 MB that numpy users keep
    except ModuleNotFoundError as error:
        raise UsageError(
            "DETECTOR_MODEL__ENGINE=torch: torch is not installed here: install it, take an image that has it, or set "
            "DETECTOR_MODEL__ENGINE=numpy, whose scores are the same"
        ) from error

    return TorchEngine(network)


def _sigmoid(logits: Float64s) -> Float64s:
    # exp of a positive logit may overflow; of its negative absolute value, never.
    decayed = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + decayed), decayed / (1 + decayed))
