"""The baselines that a model is compared with; all of them see the same rows."""

from collections.abc import Callable, Mapping
from statistics import median

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from detector.features.beth import BETH
from detector.model.engines import NumpyEngine
from detector.model.network import Float64s
from detector.training.data import Dataset
from detector.training.evaluation import MEASURES, evaluate
from detector.training.fit import fit
from detector.training.recipes import SEED

SEED_RUNS = 5
ORDINARY_USER = 1000
"""The first id that Linux distributions give to a person's account: UID_MIN of login.defs(5)."""
ORDINARY_USER_RULE = f"userId >= {ORDINARY_USER}"

_THRESHOLD = 0.5
_USER = BETH.column("userId")
_Score = Callable[[Float64s], Float64s]
MeasuresBySplit = Mapping[str, Mapping[str, float]]


def score_by_user(features: Float64s) -> Float64s:
    """Score 1 for rows of ordinary users, otherwise 0: the rule that `ORDINARY_USER_RULE` names."""
    return (features[:, _USER] >= ORDINARY_USER).astype(np.float64)


def measure_baselines(data: Dataset, seed: int) -> dict[str, MeasuresBySplit]:
    """Train each baseline on the training split; evaluate it on the validation and the test split.

    The seed recipe is trained with several seeds; its rows are the median, the worst and the best of each measure.

    Returns:
        `MEASURES` by baseline and split.
    """
    measured: dict[str, MeasuresBySplit] = {
        name: _evaluate_held_out(score, data) for name, score in _fit_baselines(data, seed).items()
    }
    runs = [
        _evaluate_held_out(NumpyEngine(fit(SEED, data, seed + run).network).score, data) for run in range(SEED_RUNS)
    ]
    summaries: dict[str, Callable[[list[float]], float]] = {"median": median, "worst": min, "best": max}
    for name, summary in summaries.items():
        measured[f"seed recipe, {name} of {SEED_RUNS} runs"] = {
            split: {measure: summary([run[split][measure] for run in runs]) for measure in MEASURES}
            for split in runs[0]
        }
    return measured


def _evaluate_held_out(score: _Score, data: Dataset) -> MeasuresBySplit:
    return {
        name: evaluate(score(split.features), split.labels, _THRESHOLD)
        for name, split in data.splits().items()
        if name != "train"
    }


def _fit_baselines(data: Dataset, seed: int) -> dict[str, _Score]:
    rows, labels = data.train.features, data.train.labels
    majority = DummyClassifier(strategy="prior").fit(rows, labels)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    logistic.fit(rows, labels)
    forest = IsolationForest(random_state=seed).fit(rows)
    logistic_probability: Callable[[Float64s], Float64s] = logistic.predict_proba
    return {
        "majority class": lambda features: majority.predict_proba(features)[:, 1],
        ORDINARY_USER_RULE: score_by_user,
        "logistic regression": lambda features: logistic_probability(features)[:, 1],
        # The anomaly score of Liu, Ting and Zhou 2008: in (0, 1], with 0.5 as the boundary.
        "isolation forest": lambda features: -forest.score_samples(features),
    }
