"""Chooses the threshold on the validation split by a named rule."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.errors import UsageError

RULES = "best-f1, precision>=P, alerts-per-million<=N, or a number in [0, 1]"
_PRECISION = re.compile(r"precision>=(\d*\.?\d+)")
_ALERTS = re.compile(r"alerts-per-million<=(\d*\.?\d+)")
_MILLION = 1_000_000
_DEFAULT = 0.5

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Threshold:
    """A threshold, and its measures on the validation split."""

    rule: str
    value: float
    precision: float
    recall: float
    f1: float
    alerts_per_million: float


@dataclass(frozen=True)
class _Cutoffs:
    """All `m` ways to divide the rows by score: the rows above cutoff `i` have the `i + 1` highest distinct scores."""

    low: Scores
    """`[m]`: the highest score below the cutoff; 0 if there is none."""
    high: Scores
    """`[m]`: the lowest score above the cutoff."""
    alerts: npt.NDArray[np.int64]
    """`[m]`: rows above the cutoff."""
    true_positives: npt.NDArray[np.int64]
    """`[m]`: suspicious rows above the cutoff."""
    rows: int
    positives: int

    @property
    def precision(self) -> Scores:
        return self.true_positives / self.alerts

    @property
    def recall(self) -> Scores:
        return self.true_positives / self.positives

    @property
    def f1(self) -> Scores:
        return 2 * self.true_positives / (self.alerts + self.positives)


def choose_threshold(rule: str, scores: Scores, labels: Labels) -> Threshold:
    """Apply a rule to the scores of the validation split.

    `best-f1`: the highest F1. One split cannot tell cutoffs apart whose F1 differs by one misclassified row or less, so
    of those the cutoff nearest to 0.5 is chosen: a cutoff close to scores that happen to be in this split is the least
    likely to work on other data. `precision>=P`: the highest recall with at least that precision.
    `alerts-per-million<=N`: the most alerts within that limit. A number: that threshold.

    Args:
        rule: one of `RULES`.
        scores: `[n]`, in [0, 1].
        labels: `[n]`, 1 suspicious, 0 benign; at least one of each.

    Raises:
        UsageError: there is no such rule, or no threshold meets it on these rows.
    """
    cutoffs = _cutoffs(scores, labels)
    if rule == "best-f1":
        return _measured(rule, _best_f1(cutoffs), scores, labels)
    if (number := _number(rule)) is not None:
        return _measured(rule, number, scores, labels)
    if match := _PRECISION.fullmatch(rule):
        allowed = cutoffs.precision >= float(match[1])
    elif match := _ALERTS.fullmatch(rule):
        allowed = cutoffs.alerts * _MILLION <= float(match[1]) * cutoffs.rows
    else:
        raise UsageError(f"threshold rule {rule!r}: expected {RULES}")
    if not allowed.any():
        raise UsageError(
            f"threshold rule {rule}: no threshold meets it on the validation split; choose a less strict rule"
        )
    return _measured(rule, _threshold_at(cutoffs, int(np.flatnonzero(allowed).max())), scores, labels)


def check_rule(rule: str) -> None:
    """Check a rule before the training, which may take an hour.

    Raises:
        UsageError: there is no such rule.
    """
    if not (rule == "best-f1" or _number(rule) is not None or _PRECISION.fullmatch(rule) or _ALERTS.fullmatch(rule)):
        raise UsageError(f"threshold rule {rule!r}: expected {RULES}")


def _number(rule: str) -> float | None:
    try:
        value = float(rule)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _cutoffs(scores: Scores, labels: Labels) -> _Cutoffs:
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # the last row of each run of equal scores
    true_positives = np.cumsum(labels[order] == 1)[last]
    low = np.append(ranked[last[:-1] + 1], 0.0)
    return _Cutoffs(low, ranked[last], last + 1, true_positives, len(scores), int((labels == 1).sum()))


def _best_f1(cutoffs: _Cutoffs) -> float:
    best = int(np.flatnonzero(cutoffs.f1 == cutoffs.f1.max())[-1])  # on a tie, the F1 that one row changes least
    f1_with_one_more_error = 2 * cutoffs.true_positives[best] / (cutoffs.alerts[best] + 1 + cutoffs.positives)
    candidates = [_threshold_at(cutoffs, int(i)) for i in np.flatnonzero(cutoffs.f1 >= f1_with_one_more_error)]
    return min(candidates, key=lambda value: abs(value - _DEFAULT))


def _threshold_at(cutoffs: _Cutoffs, i: int) -> float:
    """The threshold for cutoff `i`: 0.5 if it lies between the scores on both sides, otherwise their midpoint."""
    low, high = float(cutoffs.low[i]), float(cutoffs.high[i])
    return _DEFAULT if low < _DEFAULT <= high else (low + high) / 2 if low < (low + high) / 2 else high


def _measured(rule: str, value: float, scores: Scores, labels: Labels) -> Threshold:
    predicted, positive = scores >= value, labels == 1
    alerts, positives = int(predicted.sum()), int(positive.sum())
    true_positives = int((predicted & positive).sum())
    return Threshold(
        rule=rule,
        value=value,
        precision=true_positives / alerts if alerts else 0.0,
        recall=true_positives / positives,
        f1=2 * true_positives / (alerts + positives),
        alerts_per_million=alerts / len(scores) * _MILLION,
    )
