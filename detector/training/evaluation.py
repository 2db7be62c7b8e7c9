"""How well scores agree with labels, by scikit-learn's definitions."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
from sklearn import metrics

MEASURES = ("accuracy", "precision", "recall", "f1", "auroc", "average_precision")


def evaluate(scores: npt.NDArray[np.float64], labels: npt.NDArray[np.generic], threshold: float) -> dict[str, float]:
    """Compare scores with labels.

    Args:
        scores: `[n]`, in [0, 1].
        labels: `[n]`, 1 suspicious, 0 benign.
        threshold: an event is suspicious if its score is at or above it.

    Returns:
        Each of `MEASURES`, in [0, 1]; AUROC and average precision are NaN when `labels` has only one of the two labels.
    """
    predicted = scores >= threshold
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, predicted, average="binary", zero_division=0.0
    )
    both_labels = len(np.unique(labels)) == 2  # noqa: PLR2004 - the two labels
    return {
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "auroc": float(metrics.roc_auc_score(labels, scores)) if both_labels else float("nan"),
        "average_precision": float(metrics.average_precision_score(labels, scores)) if both_labels else float("nan"),
    }


def measures_table(rows: Mapping[str, Mapping[str, float]]) -> Iterable[str]:
    """The lines of a text table with a row for each name."""
    width = max(map(len, rows))
    yield " " * width + "".join(f"  {measure.replace('_', ' '):>17}" for measure in MEASURES)
    for name, measured in rows.items():
        yield f"{name:<{width}}" + "".join(f"  {measured[measure]:>17.4f}" for measure in MEASURES)
