"""The training loop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from detector.model.network import Layer, Network
from detector.records import FEATURES
from detector.training.data import Data, Split
from detector.training.recipes import Recipe


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training rows gave."""

    number: int
    of: int
    loss: float
    validation_loss: float


@dataclass(frozen=True)
class Fitted:
    """A trained network and the way there."""

    network: Network
    layers: list[int]
    epochs: list[Epoch]


def fit(recipe: Recipe, data: Data, seed: int, on_epoch: Callable[[Epoch], None] = lambda _: None) -> Fitted:
    """Fit the scaler and the network on the training split; the test split is not looked at.

    The same recipe, data, seed and library versions give the same weights, bit for bit.

    Args:
        recipe: what to do.
        data: the rows; validation rows are used for the loss that is reported, nothing else.
        seed: of the initial weights and of the order of the rows.
        on_epoch: called after each epoch.
    """
    torch.set_num_threads(1)  # the network is far too small to share out, and one thread adds in one order
    torch.use_deterministic_algorithms(mode=True)
    generator = torch.Generator().manual_seed(seed)
    scaler = StandardScaler().fit(data.train.features)
    sizes = [len(FEATURES), *recipe.hidden, 1]
    module = _module(sizes, generator)
    train, validation = (_tensors(scaler, split) for split in (data.train, data.validation))
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=_positive_weight(recipe, data.train))
    optimizer = torch.optim.Adam(module.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    epochs = []
    for number in range(1, recipe.epochs + 1):
        total = 0.0
        for rows in _batches(len(data.train), recipe.batch_rows, generator):
            optimizer.zero_grad()
            loss = loss_of(module(train[0][rows])[:, 0], train[1][rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        with torch.inference_mode():
            validation_loss = loss_of(module(validation[0])[:, 0], validation[1]).item()
        epochs.append(Epoch(number, recipe.epochs, total / len(data.train), validation_loss))
        on_epoch(epochs[-1])
    return Fitted(_network(scaler, module), sizes, epochs)


def _module(sizes: list[int], generator: torch.Generator) -> torch.nn.Sequential:
    steps: list[torch.nn.Module] = []
    for wide_in, wide_out in pairwise(sizes):
        linear = torch.nn.Linear(wide_in, wide_out)
        bound = wide_in**-0.5  # torch's own initialisation, from our generator instead of the global one
        for parameter in (linear.weight, linear.bias):
            torch.nn.init.uniform_(parameter, -bound, bound, generator=generator)
        steps += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*steps[:-1])


def _tensors(scaler: StandardScaler, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = scaler.transform(split.features).astype(np.float32)
    return torch.from_numpy(inputs), torch.from_numpy(split.labels)


def _positive_weight(recipe: Recipe, train: Split) -> torch.Tensor | None:
    if not recipe.balance:
        return None
    positives = float(train.labels.sum())
    return torch.tensor(((len(train) - positives) / positives) ** 0.5)


def _batches(rows: int, batch_rows: int | None, generator: torch.Generator) -> Iterator[torch.Tensor]:
    if batch_rows is None:
        return iter([torch.arange(rows)])
    return iter(torch.randperm(rows, generator=generator).split(batch_rows))  # type: ignore[no-untyped-call]


def _network(scaler: StandardScaler, module: torch.nn.Sequential) -> Network:
    layers = [
        Layer(step.weight.detach().numpy().copy(), step.bias.detach().numpy().copy())
        for step in module
        if isinstance(step, torch.nn.Linear)
    ]
    return Network(
        columns=list(range(len(FEATURES))),
        transforms=["identity"] * len(FEATURES),
        mean=scaler.mean_.copy(),
        scale=scaler.scale_.copy(),
        members=[layers],
    )
