"""Which features a model depends on, and which rows it gets wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from detector.features.beth import BETH
from detector.model.network import Float64s
from detector.training.data import Split

_REPEATS = 5
_SHOWN_GROUPS = 15


def permutation_importance(score: Callable[[Float64s], Float64s], split: Split, seed: int) -> dict[str, float]:
    """How much average precision drops when one feature is shuffled across the rows: Breiman 2001.

    Returns:
        The mean drop over several shuffles, by feature; 0 for a feature that does not matter.
    """
    random = np.random.default_rng(seed)
    before = average_precision_score(split.labels, score(split.features))
    drops = {}
    for column, name in enumerate(BETH.names):
        shuffled = split.features.copy()
        after = []
        for _ in range(_REPEATS):
            shuffled[:, column] = random.permutation(split.features[:, column])
            after.append(average_precision_score(split.labels, score(shuffled)))
        drops[name] = float(before - np.mean(after))
    return drops


def grouped_errors(scores: Float64s, split: Split, threshold: float) -> list[dict[str, Any]]:
    """The false alerts and missed rows, grouped by user and parent process; the largest groups first.

    Args:
        scores: `[n]`, of the split's rows.
        split: `[n]` rows.
        threshold: an event is suspicious if its score is at or above it.
    """
    predicted = scores >= threshold
    wrong = predicted != (split.labels == 1)
    frame = pd.DataFrame(split.features[wrong][:, [BETH.column("userId"), BETH.column("parentProcessId")]])
    frame.columns = pd.Index(["userId", "parentProcessId"])
    frame["error"] = np.where(predicted[wrong], "false alert", "missed")
    frame["score"] = scores[wrong]
    groups = frame.groupby(["error", "userId", "parentProcessId"]).agg(
        rows=("score", "size"), mean_score=("score", "mean")
    )
    largest = groups.sort_values("rows", ascending=False, kind="stable").head(_SHOWN_GROUPS).reset_index()
    return [
        {
            "error": str(group["error"]),
            "userId": int(group["userId"]),
            "parentProcessId": int(group["parentProcessId"]),
            "rows": int(group["rows"]),
            "mean_score": float(group["mean_score"]),
        }
        for group in largest.to_dict("records")
    ]
