"""The torch engine, in a module of its own because torch is slow to import."""

import torch

from detector.model.network import Float64s, Layer, Network


class TorchEngine:
    """Forward passes in torch, in one thread: a batch is too small to be divided between threads."""

    def __init__(self, network: Network) -> None:
        torch.set_num_threads(1)
        self._network = network
        self._members = [[_transposed(layer) for layer in layers] for layers in network.members]

    def score(self, features: Float64s) -> Float64s:
        """See `Engine.score`."""
        inputs = torch.from_numpy(self._network.inputs(features)).double()
        # Functions instead of `torch.nn.Sequential`, whose overhead for some thousand rows equals the arithmetic.
        with torch.inference_mode():
            probabilities = [_forward(inputs, layers).sigmoid_() for layers in self._members]
            total = sum(probabilities[1:], start=probabilities[0])
            scores: Float64s = total.div_(len(probabilities)).numpy()
            return scores


def _transposed(layer: Layer) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(layer.weight).t().contiguous().double(), torch.from_numpy(layer.bias).double()


def _forward(inputs: torch.Tensor, layers: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """The logits, in float64."""
    *hidden_layers, (last_weight, last_bias) = layers
    hidden = inputs
    for weight, bias in hidden_layers:
        hidden = torch.addmm(bias, hidden, weight).relu_()
    return torch.addmm(last_bias, hidden, last_weight)[:, 0]
