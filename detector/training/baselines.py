"""What a model has to be better than: baselines, trained and judged on the same rows."""

from collections.abc import Callable, Mapping
from statistics import median

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from detector.model.engines import NumpyEngine
from detector.model.network import Float64s
from detector.records import FEATURES
from detector.training.data import Data
from detector.training.evaluation import MEASURES, evaluate
from detector.training.fit import fit
from detector.training.recipes import SEED

SEED_RUNS = 5
ORDINARY_USER = 1000
"""The first id that Linux distributions give to a person's account: UID_MIN of login.defs(5)."""

_MIDDLE = 0.5
_Score = Callable[[Float64s], Float64s]
Measured = Mapping[str, Mapping[str, float]]
"""Measures by split."""


def measure_baselines(data: Data, seed: int) -> dict[str, Measured]:
    """Train each baseline on the training split and measure it on the validation and the test split.

    The seed recipe is run for several seeds: it appears with the medians, and again with its worst and best figures.

    Returns:
        By the baseline's name and the split's, `MEASURES`.
    """
    measured: dict[str, Measured] = {name: _measure(score, data) for name, score in _simple(data, seed).items()}
    runs = [_measure(NumpyEngine(fit(SEED, data, seed + number).network).score, data) for number in range(SEED_RUNS)]
    summaries: dict[str, Callable[[list[float]], float]] = {"median": median, "worst": min, "best": max}
    for name, summary in summaries.items():
        measured[f"seed recipe, {name} of {SEED_RUNS}"] = {
            split: {measure: summary([run[split][measure] for run in runs]) for measure in MEASURES}
            for split in runs[0]
        }
    return measured


def _measure(score: _Score, data: Data) -> Measured:
    return {
        name: evaluate(score(split.features), split.labels, _MIDDLE)
        for name, split in data.splits().items()
        if name != "train"
    }


def _simple(data: Data, seed: int) -> dict[str, _Score]:
    rows, labels = data.train.features, data.train.labels
    majority = DummyClassifier(strategy="prior").fit(rows, labels)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    logistic.fit(rows, labels)
    forest = IsolationForest(random_state=seed).fit(rows)
    user = FEATURES.index("userId")
    logistic_probability: Callable[[Float64s], Float64s] = logistic.predict_proba
    return {
        "majority": lambda features: majority.predict_proba(features)[:, 1],
        f"userId >= {ORDINARY_USER}": lambda features: (features[:, user] >= ORDINARY_USER).astype(np.float64),
        "logistic regression": lambda features: logistic_probability(features)[:, 1],
        # Its scores are in (0, 1] and its own boundary is at 0.5: Liu, Ting and Zhou 2008.
        "isolation forest": lambda features: -forest.score_samples(features),
    }
