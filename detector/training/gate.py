"""Decides whether a new model may become the current model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from detector.errors import ModelError
from detector.model.folder import CURRENT, load_model
from detector.model.manifest import Manifest


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


def worse_than_current(manifest: Manifest, models: Path) -> Iterator[str]:
    """A sentence that says why a model is worse than the current model; nothing if it is not, or cannot be compared.

    Compares average precision on the validation split, and only if both models were evaluated on the same rows: a model
    that was trained on the other model's validation rows would always look better.
    """
    try:
        current = load_model(models / CURRENT).manifest
    except ModelError:
        return  # there is no current model, or it does not load: any new model is better
    if _validation_rows(current) != _validation_rows(manifest):
        return
    new, old = (_average_precision(m.metrics) for m in (manifest, current))
    if new < old:
        yield (
            f"Worse than the current model {current.version} on the same validation rows: average precision is "
            f"{new:.6f}, the current model's is {old:.6f}; use --force to make the new model current anyway"
        )


def _validation_rows(manifest: Manifest) -> object:
    return manifest.training.get("validation_sha256", manifest.version)


def _average_precision(metrics: Mapping[str, Mapping[str, float]]) -> float:
    return metrics["validation"]["average_precision"]
