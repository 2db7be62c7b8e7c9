"""How a model performs when identifiers differ from those of the training hosts.

Five of the seven features are identifiers: a kernel or an administrator assigns them in order. What a model learned
from them applies to another host only as far as that host assigns them in the same order.
"""

from collections.abc import Callable

import numpy as np

from detector.features.beth import BETH
from detector.model.network import Float64s
from detector.training.baselines import ORDINARY_USER
from detector.training.data import Dataset, Split
from detector.training.evaluation import evaluate

_PROCESS_IDS = [BETH.column(name) for name in ("processId", "threadId", "parentProcessId")]
_PARENT = BETH.column("parentProcessId")
_USER = BETH.column("userId")
_MOUNT = BETH.column("mountNamespace")
_SHIFT = 1000
_MOUNT_SHIFT = 377
"""The distance between the two most frequent mount namespaces in BETH: 4026531840 and 4026532217."""
_LAST_FIXED_ID = 2
"""Process ids 0, 1 and 2 are the idle task, init and kthreadd on every Linux host."""

UNCHANGED = "unchanged"
AS_ORDINARY_USER = f"benign rows with userId {ORDINARY_USER}"

Robustness = dict[str, dict[str, float]]


def measure_robustness(score: Callable[[Float64s], Float64s], data: Dataset, threshold: float, seed: int) -> Robustness:
    """Evaluate a model on variations of the test split.

    Args:
        score: the model's scores of rows.
        data: the model's data; nothing is fitted here.
        threshold: the model's threshold.
        seed: random seed for the permutation.

    Returns:
        `rows`, `positives` and the measures of `evaluate`, by variation; variations without rows are left out.
    """
    test = data.test
    measured: Robustness = {}
    for name, split in _variations(test, data.train, seed).items():
        if len(split):
            counts = {"rows": float(len(split)), "positives": float(split.labels.sum())}
            measured[name] = counts | evaluate(score(split.features), split.labels, threshold)
    measured[UNCHANGED]["mean_group_recall"] = _mean_group_recall(score, test, threshold)
    return measured


def _variations(test: Split, train: Split, seed: int) -> dict[str, Split]:
    distinct = _distinct(test)
    ordinary = test.features[:, _USER] >= ORDINARY_USER
    as_ordinary = test.features.copy()
    as_ordinary[:, _USER] = ORDINARY_USER
    return {
        UNCHANGED: test,
        "distinct rows": distinct,
        "distinct rows not in training": _without(distinct, train),
        "process ids permuted across rows": Split(_permuted(test.features, seed), test.labels),
        f"process ids raised by {_SHIFT}": Split(_shifted(test.features), test.labels),
        "mount namespace of another host": Split(_other_mount(test.features), test.labels),
        f"ordinary users (userId >= {ORDINARY_USER})": Split(test.features[ordinary], test.labels[ordinary]),
        f"system accounts (userId < {ORDINARY_USER})": Split(test.features[~ordinary], test.labels[~ordinary]),
        AS_ORDINARY_USER: Split(as_ordinary[test.labels == 0], test.labels[test.labels == 0]),
    }


def _distinct(split: Split) -> Split:
    rows = np.unique(np.column_stack([split.features, split.labels]), axis=0)
    return Split(rows[:, :-1], rows[:, -1].astype(np.float32))


def _without(split: Split, other: Split) -> Split:
    seen = {row.tobytes() for row in other.features}
    new = np.array([row.tobytes() not in seen for row in split.features], dtype=bool)
    return Split(split.features[new], split.labels[new])


def _permuted(features: Float64s, seed: int) -> Float64s:
    """Permutes each of the three process ids separately, so that only their distributions remain."""
    random = np.random.default_rng(seed)
    permuted = features.copy()
    for column in _PROCESS_IDS:
        permuted[:, column] = random.permutation(permuted[:, column])
    return permuted


def _shifted(features: Float64s) -> Float64s:
    shifted = features.copy()
    for column in _PROCESS_IDS:
        shifted[shifted[:, column] > _LAST_FIXED_ID, column] += _SHIFT
    return shifted


def _other_mount(features: Float64s) -> Float64s:
    other = features.copy()
    other[:, _MOUNT] += _MOUNT_SHIFT
    return other


def _mean_group_recall(score: Callable[[Float64s], Float64s], test: Split, threshold: float) -> float:
    """Mean recall over groups of suspicious rows with the same user and parent process, whatever their sizes."""
    positives = test.features[test.labels == 1]
    detected = score(positives) >= threshold
    _, group = np.unique(positives[:, [_USER, _PARENT]], axis=0, return_inverse=True)
    return float(np.mean(np.bincount(group, weights=detected) / np.bincount(group)))
