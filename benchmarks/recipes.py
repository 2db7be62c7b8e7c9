"""Cross-validates variants of the default recipe: `python -m benchmarks.recipes`.

Only the bundled training rows are used. Each variant is trained on four fifths of the rows and evaluated three times on
the rest: unchanged, with the mount namespace of another host, and with its benign rows assigned to an ordinary user.
"""

from dataclasses import replace
from statistics import mean, pstdev

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.model_selection import StratifiedKFold, train_test_split

from detector.features.beth import BETH
from detector.local.demo import SAMPLE
from detector.model.engines import NumpyEngine
from detector.training.data import Dataset, Split, load_data
from detector.training.evaluation import evaluate
from detector.training.fit import fit
from detector.training.recipes import DEFAULT, Recipe
from detector.training.threshold import choose_threshold

_FOLDS = 5
_SEEDS = 2
_USER, _MOUNT = BETH.column("userId"), BETH.column("mountNamespace")
_OTHER_MOUNT = 377
_ORDINARY_USER = 1000
_VARIANTS = {
    "default": DEFAULT,
    "without increasing userId": replace(DEFAULT, increasing=()),
    "without scrambled mountNamespace": replace(DEFAULT, scrambled=()),
    "without outlier exposure": replace(DEFAULT, exposed=()),
    "without any of the three": replace(DEFAULT, increasing=(), scrambled=(), exposed=()),
    "returnValue without transform": replace(DEFAULT, transforms={}),
    "userId with signed_log1p, too": replace(DEFAULT, transforms={**DEFAULT.transforms, "userId": "signed_log1p"}),
    "without balance": replace(DEFAULT, balance=False),
    "without weight decay": replace(DEFAULT, weight_decay=0.0),
    "ten times the weight decay": replace(DEFAULT, weight_decay=1e-3),
    "10 hidden units": replace(DEFAULT, hidden=(10,)),
    "all epochs, last epoch kept": replace(DEFAULT, patience=None),
}


def main() -> None:
    """Train and evaluate every variant, and print the table."""
    table = Table(title=f"{_FOLDS} folds x {_SEEDS} seeds; mean ± standard deviation, or mean and worst")
    for column in (
        "variant",
        "average precision",
        "F1",
        "F1 on another host",
        "worst",
        "ordinary users detected",
        "worst",
    ):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for name, recipe in _VARIANTS.items():
        folds = [_evaluate_variant(recipe, data, seed) for seed in range(_SEEDS) for data in _folds(seed)]
        precision, f1, other_host, ordinary = zip(*folds, strict=True)
        table.add_row(
            name,
            f"{mean(precision):.4f} ± {pstdev(precision):.4f}",
            f"{mean(f1):.4f}",
            *(f"{figure:.4f}" for figures in (other_host, ordinary) for figure in (mean(figures), min(figures))),
        )
    Console(width=150).print(table)


def _folds(seed: int) -> list[Dataset]:
    sample = load_data(SAMPLE, seed=seed)
    parts = sample.splits().values()
    rows = np.concatenate([part.features for part in parts])
    labels = np.concatenate([part.labels for part in parts])

    def split(indices: np.ndarray) -> Split:
        return Split(rows[indices], labels[indices])

    folds = []
    for rest, held_out in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(rows, labels):
        train, validation = train_test_split(rest, test_size=0.25, random_state=seed, stratify=labels[rest])
        folds.append(Dataset(split(train), split(validation), split(held_out), sample.files))
    return folds


def _evaluate_variant(recipe: Recipe, data: Dataset, seed: int) -> tuple[float, float, float, float]:
    engine = NumpyEngine(fit(recipe, data, seed).network)
    scores = engine.score(data.validation.features)
    threshold = choose_threshold(recipe.threshold, scores, data.validation.labels).value
    test = data.test
    unchanged = evaluate(engine.score(test.features), test.labels, threshold)
    other = test.features.copy()
    other[:, _MOUNT] += _OTHER_MOUNT
    other_host = evaluate(engine.score(other), test.labels, threshold)
    ordinary = test.features[test.labels == 0].copy()
    ordinary[:, _USER] = _ORDINARY_USER
    return (
        unchanged["average_precision"],
        unchanged["f1"],
        other_host["f1"],
        float((engine.score(ordinary) >= threshold).mean()),
    )


if __name__ == "__main__":
    main()
