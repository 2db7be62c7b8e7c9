"""A model's numbers: the scaler and the layers of its networks, checked against the manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.errors import ModelError
from detector.model.manifest import Manifest
from detector.records import FEATURES

Float64s = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """A fully connected layer in torch's Linear layout."""

    weight: Float32s
    """`[out, in]`"""
    bias: Float32s
    """`[out]`"""


@dataclass(frozen=True)
class Network:
    """Everything that a score needs: transforms, scaler, and the networks whose probabilities are averaged."""

    columns: list[int]
    """For each of the model's features, its column in a matrix ordered as `FEATURES`."""
    transforms: list[str]
    mean: Float64s
    scale: Float64s
    members: list[list[Layer]]

    def inputs(self, features: Float64s) -> Float32s:
        """Transform and scale in float64, then cast: mountNamespace is about 4e9, which float32 cannot tell apart.

        Args:
            features: `[n, 7]`, columns in the order of `FEATURES`.

        Returns:
            `[n, 7]`, columns in the order of the model's features.
        """
        in_order = self.columns == list(range(len(self.columns)))
        matrix = features if in_order else features[:, self.columns]
        centred = transform(matrix, self.transforms) - self.mean
        centred /= self.scale
        return centred.astype(np.float32)


def transform(features: Float64s, transforms: list[str]) -> Float64s:
    """The features after the manifest's transforms, one for each column.

    Args:
        features: `[n, 7]`; not changed.
        transforms: `identity`, or `signed_log1p` = sign(x)·ln(1+|x|).
    """
    logged = [column for column, name in enumerate(transforms) if name == "signed_log1p"]
    if not logged:
        return features
    matrix = features.copy(order="K")
    for column in logged:
        matrix[:, column] = np.copysign(np.log1p(np.abs(matrix[:, column])), matrix[:, column])
    return matrix


def network_from_tensors(manifest: Manifest, tensors: Mapping[str, npt.NDArray[Any]]) -> Network:
    """Build the network that the manifest describes, taking every tensor and leaving none over.

    Raises:
        ModelError: a tensor is missing, left over, of the wrong shape or type, not finite, or a scale is not positive.
    """
    left = dict(tensors)

    def take(name: str, shape: tuple[int, ...], dtype: type[np.floating[Any]]) -> npt.NDArray[Any]:
        if name not in left:
            raise ModelError(f"weights.safetensors: tensor {name} is missing")
        tensor = left.pop(name)
        if tensor.shape != shape or tensor.dtype != dtype:
            raise ModelError(
                f"weights.safetensors: tensor {name} is {tensor.dtype}{list(tensor.shape)}, "
                f"the manifest's layers want {np.dtype(dtype)}{list(shape)}"
            )
        if not np.isfinite(tensor).all():
            raise ModelError(f"weights.safetensors: tensor {name} has values that are not finite")
        return tensor

    width = (len(FEATURES),)
    mean, scale = (take(f"scaler.{name}", width, np.float64) for name in ("mean", "scale"))
    if (scale <= 0).any():
        raise ModelError("weights.safetensors: tensor scaler.scale has values that are not positive")
    members = [
        [
            Layer(
                take(f"{prefix}layers.{i}.weight", (wide_out, wide_in), np.float32),
                take(f"{prefix}layers.{i}.bias", (wide_out,), np.float32),
            )
            for i, (wide_in, wide_out) in enumerate(pairwise(manifest.layers))
        ]
        for prefix in _member_prefixes(left)
    ]
    if left:
        raise ModelError(f"weights.safetensors: unexpected tensors {', '.join(sorted(left))}")
    columns = [FEATURES.index(name) for name in manifest.features]
    return Network(columns, manifest.feature_transforms(), mean, scale, members)


def tensors_from_network(network: Network) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a network under the names of the contract."""
    tensors: dict[str, npt.NDArray[Any]] = {"scaler.mean": network.mean, "scaler.scale": network.scale}
    for m, layers in enumerate(network.members):
        prefix = "" if len(network.members) == 1 else f"members.{m}."
        for i, layer in enumerate(layers):
            tensors[f"{prefix}layers.{i}.weight"] = layer.weight
            tensors[f"{prefix}layers.{i}.bias"] = layer.bias
    return tensors


def _member_prefixes(names: Mapping[str, Any]) -> list[str]:
    """One empty prefix for bare layers; one per member, numbered from 0, for an ensemble."""
    numbers = {name.split(".")[1] for name in names if name.startswith("members.")}
    return [f"members.{m}." for m in range(len(numbers))] or [""]
