"""What a model looks at, and where it is wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from detector.model.network import Float64s
from detector.records import FEATURES
from detector.training.data import Split

_REPEATS = 5
_SHOWN_GROUPS = 15


def permutation_importance(score: Callable[[Float64s], Float64s], split: Split, seed: int) -> dict[str, float]:
    """How much average precision is lost when one feature is shuffled among the rows: Breiman 2001.

    Returns:
        By feature, the mean loss over several shufflings; 0 for a feature that does not matter.
    """
    random = np.random.default_rng(seed)
    whole = average_precision_score(split.labels, score(split.features))
    losses = {}
    for column, name in enumerate(FEATURES):
        shuffled = split.features.copy()
        after = []
        for _ in range(_REPEATS):
            shuffled[:, column] = random.permutation(split.features[:, column])
            after.append(average_precision_score(split.labels, score(shuffled)))
        losses[name] = float(whole - np.mean(after))
    return losses


def grouped_errors(scores: Float64s, split: Split, threshold: float) -> list[dict[str, Any]]:
    """The misjudged rows, by user and parent process, the largest groups first.

    Args:
        scores: `[n]`, of the split's rows.
        split: `[n]` rows.
        threshold: from which a score is suspicious.
    """
    verdicts = scores >= threshold
    wrong = verdicts != (split.labels == 1)
    frame = pd.DataFrame(split.features[wrong][:, [FEATURES.index("userId"), FEATURES.index("parentProcessId")]])
    frame.columns = pd.Index(["userId", "parentProcessId"])
    frame["error"] = np.where(verdicts[wrong], "false alert", "missed")
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
