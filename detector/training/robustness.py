"""How good a model is when the identifiers do not mean what they meant where it was trained.

Five of the seven features are numbers that a kernel hands out in the order in which things start. What a model learned
from them holds on another host only as far as that order does.
"""

from collections.abc import Callable

import numpy as np

from detector.model.network import Float64s
from detector.records import FEATURES
from detector.training.baselines import ORDINARY_USER
from detector.training.data import Data, Split
from detector.training.evaluation import evaluate

_PROCESS_IDS = [FEATURES.index(name) for name in ("processId", "threadId", "parentProcessId")]
_PARENT = FEATURES.index("parentProcessId")
_USER = FEATURES.index("userId")
_MOUNT = FEATURES.index("mountNamespace")
_SHIFT = 1000
_MOUNT_SHIFT = 377
"""As from a host's own namespace to that of another BETH host's service (4026531840 and 4026532217)."""
_KERNEL_IDS = 2
"""0, 1 and 2 are the idle task, init and kthreadd on every Linux."""

Robustness = dict[str, dict[str, float]]


def measure_robustness(score: Callable[[Float64s], Float64s], data: Data, threshold: float, seed: int) -> Robustness:
    """Measure a model on variations of the test split.

    Args:
        score: the model.
        data: its data; nothing is fitted here.
        threshold: the model's.
        seed: of the permutation.

    Returns:
        By the variation's name: `rows`, `positives`, and the measures of `evaluate`; NaN where only one label is left.
    """
    test = data.test
    measured: Robustness = {}
    for name, split in _variations(test, data.train, seed).items():
        if len(split):
            counts = {"rows": float(len(split)), "positives": float(split.labels.sum())}
            measured[name] = counts | evaluate(score(split.features), split.labels, threshold)
    measured["as it is"]["mean_recall_of_families"] = _mean_recall_of_families(score, test, threshold)
    return measured


def _variations(test: Split, train: Split, seed: int) -> dict[str, Split]:
    distinct = _distinct(test)
    ordinary = test.features[:, _USER] >= ORDINARY_USER
    as_ordinary = test.features.copy()
    as_ordinary[:, _USER] = ORDINARY_USER
    return {
        "as it is": test,
        "distinct rows": distinct,
        "distinct rows that training did not have": _without(distinct, train),
        "process ids permuted among the rows": Split(_permuted(test.features, seed), test.labels),
        f"process ids {_SHIFT} higher": Split(_shifted(test.features), test.labels),
        "mount namespace of another host": Split(_other_mount(test.features), test.labels),
        f"ordinary users (userId >= {ORDINARY_USER})": Split(test.features[ordinary], test.labels[ordinary]),
        "system accounts": Split(test.features[~ordinary], test.labels[~ordinary]),
        "benign rows, as if of an ordinary user": Split(as_ordinary[test.labels == 0], test.labels[test.labels == 0]),
    }


def _distinct(split: Split) -> Split:
    rows = np.unique(np.column_stack([split.features, split.labels]), axis=0)
    return Split(rows[:, :-1], rows[:, -1].astype(np.float32))


def _without(split: Split, other: Split) -> Split:
    seen = {row.tobytes() for row in other.features}
    new = np.array([row.tobytes() not in seen for row in split.features], dtype=bool)
    return Split(split.features[new], split.labels[new])


def _permuted(features: Float64s, seed: int) -> Float64s:
    """Each of the three process ids on its own: what is left of them is their distribution."""
    random = np.random.default_rng(seed)
    permuted = features.copy()
    for column in _PROCESS_IDS:
        permuted[:, column] = random.permutation(permuted[:, column])
    return permuted


def _shifted(features: Float64s) -> Float64s:
    shifted = features.copy()
    for column in _PROCESS_IDS:
        shifted[shifted[:, column] > _KERNEL_IDS, column] += _SHIFT
    return shifted


def _other_mount(features: Float64s) -> Float64s:
    other = features.copy()
    other[:, _MOUNT] += _MOUNT_SHIFT
    return other


def _mean_recall_of_families(score: Callable[[Float64s], Float64s], test: Split, threshold: float) -> float:
    """Recall with each family of suspicious rows (one user, one parent process) counted once, however large it is."""
    positives = test.features[test.labels == 1]
    found = score(positives) >= threshold
    _, family = np.unique(positives[:, [_USER, _PARENT]], axis=0, return_inverse=True)
    return float(np.mean(np.bincount(family, weights=found) / np.bincount(family)))
