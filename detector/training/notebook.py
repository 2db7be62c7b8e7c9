"""The accuracies that the original notebooks print, computed the same way."""

import torch
from torchmetrics.functional.classification import binary_accuracy

from detector.model.engines import build_engine
from detector.model.network import Network
from detector.training.data import Dataset


def accuracies(network: Network, data: Dataset) -> dict[str, float]:
    """Accuracy at threshold 0.5 on the three splits, by torchmetrics, under the notebooks' names."""
    engine = build_engine("torch", network)
    names = {"train": "Training", "validation": "Validation", "test": "Testing"}
    return {
        names[name]: float(
            binary_accuracy(torch.from_numpy(engine.score(split.features)), torch.from_numpy(split.labels))
        )
        for name, split in data.splits().items()
    }
