"""The network of a model: transforms, scaler and layers, validated against the manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.errors import ModelError
from detector.features.beth import BETH
from detector.model.manifest import Manifest

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
    """All parameters of a model; an ensemble has several members, whose probabilities are averaged."""

    columns: list[int]
    """For each of the model's features, its column in a matrix that is ordered as the feature set."""
    transforms: list[str]
    mean: Float64s
    scale: Float64s
    members: list[list[Layer]]

    def inputs(self, features: Float64s) -> Float32s:
        """The features of the model, transformed and scaled.

        Computed in float64 and cast to float32 at the end: values of mountNamespace are about 4e9, where float32 cannot
        represent differences of 1.

        Args:
            features: `[n, f]`, the model's features in the order of the feature set.

        Returns:
            `[n, m]`, columns in the order of the model's features.
        """
        in_order = self.columns == list(range(features.shape[1]))
        matrix = features if in_order else features[:, self.columns]
        centred = transform(matrix, self.transforms) - self.mean
        centred /= self.scale
        return centred.astype(np.float32)


def transform(features: Float64s, transforms: list[str]) -> Float64s:
    """Apply the manifest's transforms.

    Args:
        features: `[n, m]`; not changed.
        transforms: for each column `identity`, or `signed_log1p` = sign(x)·ln(1+|x|).
    """
    logged = [column for column, name in enumerate(transforms) if name == "signed_log1p"]
    if not logged:
        return features
    matrix = features.copy(order="K")
    for column in logged:
        matrix[:, column] = np.copysign(np.log1p(np.abs(matrix[:, column])), matrix[:, column])
    return matrix


def network_from_tensors(manifest: Manifest, tensors: Mapping[str, npt.NDArray[Any]]) -> Network:
    """Build the network that the manifest describes from all of the tensors.

    Raises:
        ModelError: a tensor is missing or unexpected, has a wrong shape or type, or a value that is not finite; or a
            scale is not positive.
    """
    unused = dict(tensors)

    def take(name: str, shape: tuple[int, ...], dtype: type[np.floating[Any]]) -> npt.NDArray[Any]:
        if name not in unused:
            raise ModelError(f"weights.safetensors: tensor {name} is missing")
        tensor = unused.pop(name)
        if tensor.shape != shape or tensor.dtype != dtype:
            raise ModelError(
                f"weights.safetensors: tensor {name} is {tensor.dtype}{list(tensor.shape)}, "
                f"but the manifest's features and layers need {np.dtype(dtype)}{list(shape)}"
            )
        if not np.isfinite(tensor).all():
            raise ModelError(f"weights.safetensors: tensor {name} has values that are not finite")
        return tensor

    width = (len(manifest.features),)
    mean, scale = (take(f"scaler.{name}", width, np.float64) for name in ("mean", "scale"))
    if (scale <= 0).any():
        raise ModelError("weights.safetensors: tensor scaler.scale has values that are not positive")
    members = [
        [
            Layer(
                take(f"{prefix}layers.{i}.weight", (width_out, width_in), np.float32),
                take(f"{prefix}layers.{i}.bias", (width_out,), np.float32),
            )
            for i, (width_in, width_out) in enumerate(pairwise(manifest.layers))
        ]
        for prefix in _member_prefixes(unused)
    ]
    if unused:
        raise ModelError(
            f"weights.safetensors: unexpected tensors {', '.join(sorted(unused))}: the manifest does not describe them"
        )
    selected = BETH.select(manifest.features)
    columns = [selected.column(name) for name in manifest.features]
    return Network(columns, manifest.feature_transforms(), mean, scale, members)


def tensors_from_network(network: Network) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a network by the names that they have in `weights.safetensors`."""
    tensors: dict[str, npt.NDArray[Any]] = {"scaler.mean": network.mean, "scaler.scale": network.scale}
    for m, layers in enumerate(network.members):
        prefix = "" if len(network.members) == 1 else f"members.{m}."
        for i, layer in enumerate(layers):
            tensors[f"{prefix}layers.{i}.weight"] = layer.weight
            tensors[f"{prefix}layers.{i}.bias"] = layer.bias
    return tensors


def _member_prefixes(names: Mapping[str, Any]) -> list[str]:
    """An empty prefix for a single network; for an ensemble, one prefix for each member, numbered from 0."""
    numbers = {name.split(".")[1] for name in names if name.startswith("members.")}
    return [f"members.{m}." for m in range(len(numbers))] or [""]
