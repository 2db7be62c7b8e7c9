"""The torch engine."""

import numpy as np
import torch

from detector.model.network import Float64s, Layer, Network


class TorchEngine:
    """Forward passes in torch, on one thread: the batches are far too small to share out."""

    def __init__(self, network: Network) -> None:
        torch.set_num_threads(1)
        self._network = network
        self._members = [_module(layers) for layers in network.members]

    def score(self, features: Float64s) -> Float64s:
        """See `Engine.score`."""
        inputs = torch.from_numpy(self._network.inputs(features))
        total = np.zeros(len(features))
        with torch.inference_mode():
            for member in self._members:
                total += torch.sigmoid(member(inputs)[:, 0].double()).numpy()
        return total / len(self._members)


def _module(layers: list[Layer]) -> torch.nn.Sequential:
    steps: list[torch.nn.Module] = []
    for layer in layers:
        linear = torch.nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
        linear.load_state_dict({"weight": torch.from_numpy(layer.weight), "bias": torch.from_numpy(layer.bias)})
        steps += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*steps[:-1]).eval()
