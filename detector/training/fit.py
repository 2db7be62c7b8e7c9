"""The training loop."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler

from detector.model.network import Layer, Network, transform
from detector.records import FEATURES
from detector.training.data import Data, Split
from detector.training.recipes import Recipe

_BEYOND = 0.2
"""How far scrambled values go beyond the range of the training rows, as a share of that range."""
_FAR = 10
"""How far exposed values go beyond it, in such ranges."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training rows gave."""

    number: int
    of: int
    loss: float
    validation_loss: float
    validation_average_precision: float

    def better_than(self, other: "Epoch") -> bool:
        """By average precision on the validation split; where that is the same, by the loss there."""
        return (self.validation_average_precision, -self.validation_loss) > (
            other.validation_average_precision,
            -other.validation_loss,
        )


@dataclass(frozen=True)
class Fitted:
    """A trained network and the way there."""

    network: Network
    layers: list[int]
    epochs: list[Epoch]
    kept: Epoch
    """The epoch that the network is of."""
    interrupted: bool
    """Stopped before its end, because somebody asked for it."""


def fit(
    recipe: Recipe,
    data: Data,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Fitted:
    """Fit the scaler and the network on the training split; the test split is not looked at.

    The same recipe, data, seed and library versions give the same weights, bit for bit.

    Args:
        recipe: what to do.
        data: the rows; validation rows choose the epoch that is kept when the recipe has patience, nothing else.
        seed: of the initial weights, the order of the rows and the scrambled values.
        on_epoch: called after each epoch.
        stopped: asked after each epoch; True ends the training with the epoch that is kept so far.
    """
    # The network is far too small to share out, and one thread adds in one order: nothing else here could make two runs
    # differ. (`torch.use_deterministic_algorithms` would say so too, and import torch's compiler for it: 3 s.)
    torch.set_num_threads(1)
    run = _Run(recipe, data, seed)
    epochs = [run.epoch(1)]
    kept, network = epochs[0], run.network()
    on_epoch(kept)
    interrupted = stopped()
    while len(epochs) < recipe.epochs and not interrupted:
        epochs.append(run.epoch(len(epochs) + 1))
        if recipe.patience is None or epochs[-1].better_than(kept):
            kept, network = epochs[-1], run.network()
        on_epoch(epochs[-1])
        if recipe.patience is not None and epochs[-1].number - kept.number >= recipe.patience:
            break
        interrupted = stopped()
    return Fitted(network, run.sizes, epochs, kept, interrupted)


class _Run:
    """The state of a training run."""

    def __init__(self, recipe: Recipe, data: Data, seed: int) -> None:
        self.sizes = [len(FEATURES), *recipe.hidden, 1]
        self._recipe = recipe
        self._generator = torch.Generator().manual_seed(seed)
        self._transforms = [recipe.transforms.get(name, "identity") for name in FEATURES]
        self._scaler = StandardScaler().fit(transform(data.train.features, self._transforms))
        self._module = _module(self.sizes, self._generator)
        self._train, self._validation = (self._tensors(split) for split in (data.train, data.validation))
        self._loss = torch.nn.BCEWithLogitsLoss(pos_weight=_positive_weight(recipe, data.train))
        self._optimizer = torch.optim.Adam(
            self._module.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self._increasing = [FEATURES.index(name) for name in recipe.increasing]
        self._scrambled = [FEATURES.index(name) for name in recipe.scrambled]
        self._exposed = [FEATURES.index(name) for name in recipe.exposed]
        low, high = self._train[0].amin(0), self._train[0].amax(0)
        self._span = (1 + 2 * _BEYOND) * (high - low)
        self._low, self._high = low - _BEYOND * (high - low), high + _BEYOND * (high - low)

    def epoch(self, number: int) -> Epoch:
        total = 0.0
        for inputs, labels in self._batches():
            self._optimizer.zero_grad()
            loss = self._loss(self._module(inputs)[:, 0], labels)
            loss.backward()
            self._optimizer.step()
            self._keep_increasing()
            total += loss.item() * len(labels)
        with torch.inference_mode():
            logits = self._module(self._validation[0])[:, 0]
            validation_loss = self._loss(logits, self._validation[1]).item()
        average_precision = float(average_precision_score(self._validation[1].numpy(), logits.numpy()))
        return Epoch(number, self._recipe.epochs, total / len(self._train[1]), validation_loss, average_precision)

    def network(self) -> Network:
        layers = [
            Layer(step.weight.detach().numpy().copy(), step.bias.detach().numpy().copy())
            for step in self._module
            if isinstance(step, torch.nn.Linear)
        ]
        return Network(
            columns=list(range(len(FEATURES))),
            transforms=self._transforms,
            mean=self._scaler.mean_.copy(),
            scale=self._scaler.scale_.copy(),
            members=[layers],
        )

    def _tensors(self, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = self._scaler.transform(transform(split.features, self._transforms)).astype(np.float32)
        return torch.from_numpy(inputs), torch.from_numpy(split.labels)

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Inputs and labels of one epoch, batch by batch."""
        inputs, labels = self._train
        if self._recipe.batch_rows is None:
            return iter([self._train])
        order = torch.randperm(len(labels), generator=self._generator)
        # Gathered once for the whole epoch: batch by batch it takes longer than the arithmetic.
        shuffled = inputs[order], labels[order]
        self._scramble(shuffled[0])
        self._expose(*shuffled)
        return zip(*(part.split(self._recipe.batch_rows) for part in shuffled), strict=True)  # type: ignore[no-untyped-call]

    def _scramble(self, inputs: torch.Tensor) -> None:
        """Replace the scrambled features in a share of the rows."""
        for column in self._scrambled:
            chosen, value = torch.rand(2, len(inputs), generator=self._generator)
            replaced = self._low[column] + self._span[column] * value
            inputs[:, column] = torch.where(chosen < self._recipe.scrambled_share, replaced, inputs[:, column])

    def _expose(self, inputs: torch.Tensor, labels: torch.Tensor) -> None:
        """Take a share of the rows beyond the range of a feature, and call them suspicious: Hendrycks et al. 2019."""
        for column in self._exposed:
            chosen, value = torch.rand(2, len(inputs), generator=self._generator)
            rows = chosen < self._recipe.exposed_share
            inputs[rows, column] = (self._high[column] + _FAR * self._span[column] * value)[rows]
            labels[rows] = 1

    def _keep_increasing(self) -> None:
        """Take out what would let an increasing feature lower the score: Archer and Wang 1993, by projection.

        With one hidden layer the score increases in a feature when no hidden unit has weights of unlike signs on its
        way in and on its way out.
        """
        if self._increasing:
            first, _, last, _ = self._module.parameters()  # of the one hidden layer and of the output: weight, bias
            with torch.no_grad():
                for column in self._increasing:
                    weights = first[:, column]
                    weights[weights * last[0] < 0] = 0


def _module(sizes: list[int], generator: torch.Generator) -> torch.nn.Sequential:
    steps: list[torch.nn.Module] = []
    for wide_in, wide_out in pairwise(sizes):
        linear = torch.nn.Linear(wide_in, wide_out)
        bound = wide_in**-0.5  # torch's own initialisation, from our generator instead of the global one
        for parameter in (linear.weight, linear.bias):
            torch.nn.init.uniform_(parameter, -bound, bound, generator=generator)
        steps += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*steps[:-1])


def _positive_weight(recipe: Recipe, train: Split) -> torch.Tensor | None:
    if not recipe.balance:
        return None
    positives = float(train.labels.sum())
    return torch.tensor(math.sqrt((len(train) - positives) / positives))
