"""The training loop: fits the scaler and the network of a recipe."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler

from detector.features.beth import BETH
from detector.model.network import Layer, Network, transform
from detector.training.data import Dataset, Split
from detector.training.recipes import Recipe

_MARGIN = 0.2
"""How far random values of scrambled features go below and above the range of the training rows, as a share of it."""
_EXPOSED_RANGES = 10
"""How far exposed values go above the range of scrambled values, as a multiple of that range."""


@dataclass(frozen=True)
class Epoch:
    """The losses and the validation measure after one pass over the training rows."""

    number: int
    """Starts at 1."""
    total: int
    """The recipe's largest number of epochs."""
    loss: float
    validation_loss: float
    validation_average_precision: float

    def is_better_than(self, other: "Epoch") -> bool:
        """Compares average precision on the validation split, then the validation loss."""
        return (self.validation_average_precision, -self.validation_loss) > (
            other.validation_average_precision,
            -other.validation_loss,
        )


@dataclass(frozen=True)
class FitResult:
    """A trained network, and the history of its training."""

    network: Network
    layers: list[int]
    """Sizes of the layers, from the inputs to the output."""
    epochs: list[Epoch]
    kept: Epoch
    """The epoch whose weights the network has."""
    interrupted: bool
    """Whether `stopped` ended the training early."""


def fit(
    recipe: Recipe,
    data: Dataset,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> FitResult:
    """Fit the scaler and the network on the training split; the test split is not used.

    The same recipe, data, seed and library versions give the same weights, bit for bit.

    Args:
        recipe: the choices of the training run.
        data: the rows; if the recipe has patience, the validation rows choose the epoch that is kept.
        seed: random seed for the initial weights, the order of the rows and the random feature values.
        on_epoch: called after each epoch.
        stopped: called after each epoch; True ends the training with the epoch kept so far.
    """
    # The network is too small to gain from threads, and one thread always adds in the same order. Nothing else here
    # can make two runs differ; `torch.use_deterministic_algorithms` would import torch's compiler, which takes 3 s.
    torch.set_num_threads(1)
    run = _TrainingRun(recipe, data, seed)
    epochs = [run.run_epoch(1)]
    kept, network = epochs[0], run.network()
    on_epoch(kept)
    interrupted = stopped()
    while len(epochs) < recipe.epochs and not interrupted:
        epochs.append(run.run_epoch(len(epochs) + 1))
        if recipe.patience is None or epochs[-1].is_better_than(kept):
            kept, network = epochs[-1], run.network()
        on_epoch(epochs[-1])
        if recipe.patience is not None and epochs[-1].number - kept.number >= recipe.patience:
            break
        interrupted = stopped()
    return FitResult(network, run.sizes, epochs, kept, interrupted)


class _TrainingRun:
    """The state of a training run: scaler, network, optimizer and random generator."""

    def __init__(self, recipe: Recipe, data: Dataset, seed: int) -> None:
        self.sizes = [len(BETH.names), *recipe.hidden, 1]
        self._recipe = recipe
        self._generator = torch.Generator().manual_seed(seed)
        self._transforms = [recipe.transforms.get(name, "identity") for name in BETH.names]
        self._scaler = StandardScaler().fit(transform(data.train.features, self._transforms))
        self._module = _module(self.sizes, self._generator)
        self._train, self._validation = (self._tensors(split) for split in (data.train, data.validation))
        self._loss = torch.nn.BCEWithLogitsLoss(pos_weight=_positive_weight(recipe, data.train))
        self._optimizer = torch.optim.Adam(
            self._module.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self._increasing = [BETH.column(name) for name in recipe.increasing]
        self._scrambled = [BETH.column(name) for name in recipe.scrambled]
        self._exposed = [BETH.column(name) for name in recipe.exposed]
        low, high = self._train[0].amin(0), self._train[0].amax(0)
        self._span = (1 + 2 * _MARGIN) * (high - low)
        self._low, self._high = low - _MARGIN * (high - low), high + _MARGIN * (high - low)

    def run_epoch(self, number: int) -> Epoch:
        loss_sum = 0.0
        for inputs, labels in self._batches():
            self._optimizer.zero_grad()
            loss = self._loss(self._module(inputs)[:, 0], labels)
            loss.backward()
            self._optimizer.step()
            self._enforce_increasing()
            loss_sum += loss.item() * len(labels)
        with torch.inference_mode():
            logits = self._module(self._validation[0])[:, 0]
            validation_loss = self._loss(logits, self._validation[1]).item()
        average_precision = float(average_precision_score(self._validation[1].numpy(), logits.numpy()))
        return Epoch(number, self._recipe.epochs, loss_sum / len(self._train[1]), validation_loss, average_precision)

    def network(self) -> Network:
        layers = [
            Layer(step.weight.detach().numpy().copy(), step.bias.detach().numpy().copy())
            for step in self._module
            if isinstance(step, torch.nn.Linear)
        ]
        return Network(
            columns=list(range(len(BETH.names))),
            transforms=self._transforms,
            mean=self._scaler.mean_.copy(),
            scale=self._scaler.scale_.copy(),
            members=[layers],
        )

    def _tensors(self, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = self._scaler.transform(transform(split.features, self._transforms)).astype(np.float32)
        return torch.from_numpy(inputs), torch.from_numpy(split.labels)

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yields the inputs and labels of one epoch, batch by batch."""
        inputs, labels = self._train
        if self._recipe.batch_rows is None:
            return iter([self._train])
        order = torch.randperm(len(labels), generator=self._generator)
        # Reordered once for the whole epoch: reordering batch by batch takes longer than the arithmetic.
        shuffled = inputs[order], labels[order]
        self._scramble(shuffled[0])
        self._expose(*shuffled)
        return zip(*(part.split(self._recipe.batch_rows) for part in shuffled), strict=True)  # type: ignore[no-untyped-call]

    def _scramble(self, inputs: torch.Tensor) -> None:
        """Give scrambled features random values in a share of the rows."""
        for column in self._scrambled:
            chosen, value = torch.rand(2, len(inputs), generator=self._generator)
            replaced = self._low[column] + self._span[column] * value
            inputs[:, column] = torch.where(chosen < self._recipe.scrambled_share, replaced, inputs[:, column])

    def _expose(self, inputs: torch.Tensor, labels: torch.Tensor) -> None:
        """Move exposed features above their range in a share of the rows, and label those rows suspicious.

        Outlier exposure: Hendrycks et al. 2019.
        """
        for column in self._exposed:
            chosen, value = torch.rand(2, len(inputs), generator=self._generator)
            rows = chosen < self._recipe.exposed_share
            inputs[rows, column] = (self._high[column] + _EXPOSED_RANGES * self._span[column] * value)[rows]
            labels[rows] = 1

    def _enforce_increasing(self) -> None:
        """Set weights to 0 that would let an increasing feature lower the score: projection, Archer and Wang 1993.

        With one hidden layer, the score never falls as a feature rises if each hidden unit's weight for that feature
        has the same sign as the unit's output weight.
        """
        if self._increasing:
            hidden_weight, _, output_weight, _ = self._module.parameters()
            with torch.no_grad():
                for column in self._increasing:
                    weights = hidden_weight[:, column]
                    weights[weights * output_weight[0] < 0] = 0


def _module(sizes: list[int], generator: torch.Generator) -> torch.nn.Sequential:
    steps: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        linear = torch.nn.Linear(inputs, outputs)
        bound = inputs**-0.5  # torch's default initialization, but with our generator instead of the global one
        for parameter in (linear.weight, linear.bias):
            torch.nn.init.uniform_(parameter, -bound, bound, generator=generator)
        steps += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*steps[:-1])


def _positive_weight(recipe: Recipe, train: Split) -> torch.Tensor | None:
    if not recipe.balance:
        return None
    positives = float(train.labels.sum())
    return torch.tensor(math.sqrt((len(train) - positives) / positives))
