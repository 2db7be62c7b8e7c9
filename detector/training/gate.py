"""Decides whether a new model may become the current model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from detector.errors import ModelError
from detector.features.beth import BETH
from detector.model.folder import CURRENT, load_model
from detector.model.manifest import Manifest
from detector.model.network import Float64s
from detector.training.baselines import ORDINARY_USER_RULE, score_by_user
from detector.training.data import Split
from detector.training.evaluation import evaluate

_MIN_ROWS_OF_A_LABEL = 10
"""With fewer rows, a measure says little: one row more or less changes it by over a tenth."""
_MIN_TIMES_RANDOM = 2
"""The share of suspicious rows is the average precision of random scores."""
_MAX_ALERT_SHARE = 0.1
_PERFECT = 1 - 1e-9
"""The highest average precision, up to rounding errors: it suffices where the rule on `userId` reaches it, too."""


@dataclass(frozen=True)
class Targets:
    """The lowest acceptable measures on the validation split; None accepts anything."""

    accuracy: float | None = None
    average_precision: float | None = None


def missed_targets(manifest: Manifest, targets: Targets) -> Iterator[str]:
    """A sentence for each target that the model misses."""
    measured = manifest.metrics["validation"]
    for name, target in {"accuracy": targets.accuracy, "average_precision": targets.average_precision}.items():
        if target is not None and measured[name] < target:
            yield (
                f"Target missed: validation {name.replace('_', ' ')} is {measured[name]:.4f}, the target is "
                f"{target:g} (threshold {manifest.threshold:.4g})"
            )


def missed_floor(manifest: Manifest, validation: Split, models: Path) -> Iterator[str]:
    """A sentence for each part of the floor that a new model misses; every current model must reach the floor.

    Labels that are wrong, or too few, give a model that scores badly even on rows of the same data.

    Args:
        manifest: of the new model.
        validation: its validation split. The current model is scored on these rows, too.
        models: the folder of all versions.
    """
    for check in (_few_rows(validation), _many_alerts(manifest), _low_precision(manifest, validation, models)):
        for reason in check:
            yield f"Floor missed: {reason}"


def _few_rows(validation: Split) -> Iterator[str]:
    suspicious = int(validation.labels.sum())
    for label, rows in {"suspicious": suspicious, "benign": len(validation) - suspicious}.items():
        if rows < _MIN_ROWS_OF_A_LABEL:
            yield f"the validation split has {rows} {label} rows, at least {_MIN_ROWS_OF_A_LABEL} are needed"


def _many_alerts(manifest: Manifest) -> Iterator[str]:
    share = manifest.training["threshold"]["alerts_per_million"] / 1_000_000
    if share > _MAX_ALERT_SHARE:
        yield (
            f"{share:.1%} of the validation rows alert at threshold {manifest.threshold:.4g}, at most "
            f"{_MAX_ALERT_SHARE:.0%} may"
        )


def _low_precision(manifest: Manifest, validation: Split, models: Path) -> Iterator[str]:
    reached = manifest.metrics["validation"]["average_precision"]
    yield from _no_better_than_random(reached, float(validation.labels.mean()))
    by_user = _average_precision(score_by_user, validation)
    if not reached > min(by_user, _PERFECT):
        yield (
            f"validation average precision is {reached:.4f}, it must be above {by_user:.4f}, which the rule "
            f"{ORDINARY_USER_RULE} reaches"
        )
    old = _current_model(models)
    if old is not None:
        precision = _average_precision(old.score, validation)
        if not reached >= precision:
            yield (
                f"worse than the current model {old.version} on the new validation rows: average precision is "
                f"{reached:.6f}, the current model's is {precision:.6f}"
            )


def _no_better_than_random(reached: float, share: float) -> Iterator[str]:
    bound = _MIN_TIMES_RANDOM * share
    if bound >= 1:
        yield f"{share:.1%} of the validation rows are labelled suspicious; check that the labels are not inverted"
    elif not reached > bound:
        yield (
            f"validation average precision is {reached:.4f}, it must be above {bound:.4f}, twice the share of "
            "suspicious rows"
        )


class _CurrentModel(NamedTuple):
    version: str
    score: Callable[[Float64s], Float64s]
    """Scores of `[n, 7]`, columns in the order of the feature set."""


def _current_model(models: Path) -> _CurrentModel | None:
    """The current model; None if there is none or it is rejected, because then any new model is better."""
    try:
        model = load_model(models / CURRENT)
        engine = model.engine("torch")
    except ModelError:
        return None
    columns = [BETH.column(name) for name in BETH.select(model.manifest.features).names]
    return _CurrentModel(model.manifest.version, lambda rows: engine.score(rows[:, columns]))


def _average_precision(score: Callable[[Float64s], Float64s], validation: Split) -> float:
    threshold = 0.5  # average precision does not depend on it
    return evaluate(score(validation.features), validation.labels, threshold)["average_precision"]
