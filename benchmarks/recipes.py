"""`python -m benchmarks.recipes`: what each choice of the default recipe is worth, by cross-validation.

Only the bundled training rows are used. Each variant is trained on four fifths and judged on the rest; then on the rest
as another host would have it, and with an ordinary user's rows added, of a kind that the training rows do not have.
"""

from dataclasses import replace
from statistics import mean, pstdev

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.model_selection import StratifiedKFold, train_test_split

from detector.local.demo import SAMPLE
from detector.model.engines import NumpyEngine
from detector.records import FEATURES
from detector.training.data import Data, Split, load_data
from detector.training.evaluation import evaluate
from detector.training.fit import fit
from detector.training.recipes import DEFAULT, Recipe
from detector.training.threshold import choose_threshold

_FOLDS = 5
_SEEDS = 2
_USER, _MOUNT = FEATURES.index("userId"), FEATURES.index("mountNamespace")
_OTHER_MOUNT = 377
_ORDINARY_USER = 1000
_VARIANTS = {
    "default": DEFAULT,
    "without increasing": replace(DEFAULT, increasing=()),
    "without scrambling": replace(DEFAULT, scrambled=()),
    "without exposing": replace(DEFAULT, exposed=()),
    "without any of the three": replace(DEFAULT, increasing=(), scrambled=(), exposed=()),
    "returnValue as it is": replace(DEFAULT, transforms={}),
    "userId in logarithms too": replace(DEFAULT, transforms={**DEFAULT.transforms, "userId": "signed_log1p"}),
    "without balance": replace(DEFAULT, balance=False),
    "without weight decay": replace(DEFAULT, weight_decay=0.0),
    "ten times the weight decay": replace(DEFAULT, weight_decay=1e-3),
    "10 hidden units": replace(DEFAULT, hidden=(10,)),
    "all epochs, the last kept": replace(DEFAULT, patience=None),
}


def main() -> None:
    """Train them all, print the table."""
    table = Table(title=f"{_FOLDS} folds x {_SEEDS} seeds; mean (and standard deviation, or worst)")
    for column in (
        "variant",
        "average precision",
        "F1",
        "F1 on another host",
        "worst",
        "ordinary users found",
        "worst",
    ):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for name, recipe in _VARIANTS.items():
        folds = [_judge(recipe, data, seed) for seed in range(_SEEDS) for data in _folds(seed)]
        precision, f1, elsewhere, ordinary = zip(*folds, strict=True)
        table.add_row(
            name,
            f"{mean(precision):.4f} ± {pstdev(precision):.4f}",
            f"{mean(f1):.4f}",
            *(f"{figure:.4f}" for figures in (elsewhere, ordinary) for figure in (mean(figures), min(figures))),
        )
    Console(width=150).print(table)


def _folds(seed: int) -> list[Data]:
    sample = load_data(SAMPLE, seed)
    parts = sample.splits().values()
    rows = np.concatenate([part.features for part in parts])
    labels = np.concatenate([part.labels for part in parts])

    def split(indices: np.ndarray) -> Split:
        return Split(rows[indices], labels[indices])

    folds = []
    for rest, held_out in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(rows, labels):
        train, validation = train_test_split(rest, test_size=0.25, random_state=seed, stratify=labels[rest])
        folds.append(Data(split(train), split(validation), split(held_out), sample.files))
    return folds


def _judge(recipe: Recipe, data: Data, seed: int) -> tuple[float, float, float, float]:
    engine = NumpyEngine(fit(recipe, data, seed).network)
    scores = engine.score(data.validation.features)
    threshold = choose_threshold(recipe.threshold, scores, data.validation.labels).value
    test = data.test
    here = evaluate(engine.score(test.features), test.labels, threshold)
    other = test.features.copy()
    other[:, _MOUNT] += _OTHER_MOUNT
    elsewhere = evaluate(engine.score(other), test.labels, threshold)
    ordinary = test.features[test.labels == 0].copy()
    ordinary[:, _USER] = _ORDINARY_USER
    return here["average_precision"], here["f1"], elsewhere["f1"], float((engine.score(ordinary) >= threshold).mean())


if __name__ == "__main__":
    main()
