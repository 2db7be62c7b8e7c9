"""The rules that choose the threshold."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detector.errors import UsageError
from detector.training.threshold import choose_threshold

LABELS = np.array([1, 1, 1, 0, 1, 0, 0, 0])
SCORES = np.array([0.99, 0.95, 0.9, 0.8, 0.7, 0.3, 0.2, 0.1])


@pytest.mark.parametrize(
    ("rule", "value", "alerts"),
    [
        ("best-f1", 0.5, 5),
        ("precision>=1", 0.85, 3),
        ("precision>=0.8", 0.5, 5),
        ("precision>=.6", 0.25, 6),
        ("alerts-per-million<=400000", 0.85, 3),
        ("alerts-per-million<=125000", 0.97, 1),
        ("alerts-per-million<=1000000", 0.05, 8),
        ("0.6", 0.6, 5),
    ],
)
def test_rule_chooses_its_threshold_and_reports_its_measures(rule, value, alerts):
    """Otherwise users could not judge what a threshold costs in precision, recall and alerts."""
    chosen = choose_threshold(rule, SCORES, LABELS)

    true_positives = int(LABELS[chosen.value <= SCORES].sum())
    assert chosen.value == pytest.approx(value)
    assert chosen.rule == rule
    assert chosen.alerts_per_million == alerts / 8 * 1e6
    assert chosen.precision == pytest.approx(true_positives / alerts)
    assert chosen.recall == pytest.approx(true_positives / 4)
    assert chosen.f1 == pytest.approx(2 * true_positives / (alerts + 4))


def test_best_f1_prefers_the_threshold_nearest_to_one_half():
    """Otherwise one benign row with a high score would make the model miss events on other hosts."""
    scores = np.r_[np.full(50, 0.99), [0.98], np.full(500, 0.01)]
    labels = np.r_[np.ones(50), np.zeros(501)]

    assert choose_threshold("best-f1", scores, labels).value == 0.5


@pytest.mark.parametrize("rule", ["precision>=1", "alerts-per-million<=1"])
def test_rule_that_no_threshold_meets_is_an_error(rule):
    """Otherwise users would get a threshold that breaks the promise of its rule."""
    with pytest.raises(UsageError, match="no threshold meets it"):
        choose_threshold(rule, np.array([0.9, 0.8]), np.array([0, 1]))


@pytest.mark.parametrize("rule", ["f1", "precision>1", "precision>=", "1.5", "nan", "-0.1", ""])
def test_unknown_rule_is_an_error(rule):
    """Otherwise users would not learn which rules exist."""
    with pytest.raises(UsageError, match="expected best-f1, precision>=P"):
        choose_threshold(rule, SCORES, LABELS)


@example(rows=[(0.0, False), (0.0, True), (0.5, False), (0.5000001, True)])
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 1e-300, 0.1, 0.5, 0.5000001, 0.9, 1.0]), st.booleans()), min_size=2
    ).filter(lambda rows: len({label for _, label in rows}) == 2)
)
def test_best_f1_is_within_one_row_of_the_best(rows):
    """Otherwise users would get a threshold whose F1 is far from the best."""
    scores, labels = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))

    def f1(threshold):
        alerts = scores >= threshold
        return 2 * (alerts & (labels == 1)).sum() / (alerts.sum() + labels.sum())

    best = max(scores, key=f1)
    alerts, true_positives = (scores >= best).sum(), ((scores >= best) & (labels == 1)).sum()
    assert choose_threshold("best-f1", scores, labels).f1 >= 2 * true_positives / (alerts + 1 + labels.sum()) - 1e-12
