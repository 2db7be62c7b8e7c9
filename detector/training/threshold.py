"""The threshold, chosen on the validation split by a named rule."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.errors import UsageError

RULES = "best-f1, precision>=P, alerts-per-million<=N, or a number in [0, 1]"
_PRECISION = re.compile(r"precision>=(\d*\.?\d+)")
_ALERTS = re.compile(r"alerts-per-million<=(\d*\.?\d+)")
_MILLION = 1_000_000
_MIDDLE = 0.5

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Threshold:
    """A threshold, and what the rule saw of it on the validation split."""

    rule: str
    value: float
    precision: float
    recall: float
    f1: float
    alerts_per_million: float


@dataclass(frozen=True)
class _Cuts:
    """Every way to cut the rows in two by score: cut `i` has the `i + 1` highest distinct scores above it."""

    low: Scores
    """`[m]`: the score right below the cut; 0 below the lowest of all."""
    high: Scores
    """`[m]`: the lowest score above the cut."""
    alerts: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]
    rows: int
    positives: int

    @property
    def precision(self) -> Scores:
        return self.hits / self.alerts

    @property
    def recall(self) -> Scores:
        return self.hits / self.positives

    @property
    def f1(self) -> Scores:
        return 2 * self.hits / (self.alerts + self.positives)


def choose_threshold(rule: str, scores: Scores, labels: Labels) -> Threshold:
    """Apply a rule to the scores of the validation split.

    `best-f1` asks for the highest F1. Cuts that are one misjudged row apart cannot be told from each other on this
    split; of those the one that is nearest to 0.5 is taken, for a cut at the very edge of the scores that happened to
    be there is the least likely to hold elsewhere. `precision>=P` asks for the most recall at that precision,
    `alerts-per-million<=N` for the most alerts within that budget.

    Args:
        rule: one of `RULES`.
        scores: `[n]`, in [0, 1].
        labels: `[n]`, 1 suspicious, 0 benign; both are there.

    Raises:
        UsageError: no such rule, or no threshold satisfies it on these rows.
    """
    cuts = _cuts(scores, labels)
    if rule == "best-f1":
        return _described(rule, _best_f1(cuts), scores, labels)
    if (number := _number(rule)) is not None:
        return _described(rule, number, scores, labels)
    if match := _PRECISION.fullmatch(rule):
        allowed = cuts.precision >= float(match[1])
    elif match := _ALERTS.fullmatch(rule):
        allowed = cuts.alerts * _MILLION <= float(match[1]) * cuts.rows
    else:
        raise UsageError(f"threshold rule {rule!r}: want {RULES}")
    if not allowed.any():
        raise UsageError(f"threshold rule {rule}: no threshold satisfies it on the validation split")
    return _described(rule, _between(cuts, int(np.flatnonzero(allowed).max())), scores, labels)


def check_rule(rule: str) -> None:
    """Refuse what is no rule before an hour of training, not after it.

    Raises:
        UsageError: no such rule.
    """
    if not (rule == "best-f1" or _number(rule) is not None or _PRECISION.fullmatch(rule) or _ALERTS.fullmatch(rule)):
        raise UsageError(f"threshold rule {rule!r}: want {RULES}")


def _number(rule: str) -> float | None:
    try:
        value = float(rule)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _cuts(scores: Scores, labels: Labels) -> _Cuts:
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # of each run of equal scores
    hits = np.cumsum(labels[order] == 1)[last]
    low = np.append(ranked[last[:-1] + 1], 0.0)
    return _Cuts(low, ranked[last], last + 1, hits, len(scores), int((labels == 1).sum()))


def _best_f1(cuts: _Cuts) -> float:
    best = int(np.flatnonzero(cuts.f1 == cuts.f1.max())[-1])  # of equal ones that to which one row makes the least
    one_more_error = 2 * cuts.hits[best] / (cuts.alerts[best] + 1 + cuts.positives)
    good_enough = np.flatnonzero(cuts.f1 >= one_more_error)
    candidates = [_between(cuts, int(cut)) for cut in good_enough]
    return min(candidates, key=lambda value: abs(value - _MIDDLE))


def _between(cuts: _Cuts, cut: int) -> float:
    """A threshold that makes this cut: 0.5 where that does, else half way between the scores on its two sides."""
    low, high = float(cuts.low[cut]), float(cuts.high[cut])
    return _MIDDLE if low < _MIDDLE <= high else (low + high) / 2 if low < (low + high) / 2 else high


def _described(rule: str, value: float, scores: Scores, labels: Labels) -> Threshold:
    verdicts, positive = scores >= value, labels == 1
    hits, alerts, positives = int((verdicts & positive).sum()), int(verdicts.sum()), int(positive.sum())
    return Threshold(
        rule=rule,
        value=value,
        precision=hits / alerts if alerts else 0.0,
        recall=hits / positives,
        f1=2 * hits / (alerts + positives),
        alerts_per_million=alerts / len(scores) * _MILLION,
    )
