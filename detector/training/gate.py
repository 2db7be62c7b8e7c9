"""Whether a new model may become the current one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from detector.errors import ModelError
from detector.model.folder import CURRENT, load_model
from detector.model.manifest import Manifest


@dataclass(frozen=True)
class Targets:
    """What is asked of a model, on the validation split; None asks nothing."""

    accuracy: float | None = None
    average_precision: float | None = None


def missed(manifest: Manifest, targets: Targets) -> Iterator[str]:
    """The targets that a model misses, in words."""
    measured = manifest.metrics["validation"]
    for name, target in {"accuracy": targets.accuracy, "average_precision": targets.average_precision}.items():
        if target is not None and measured[name] < target:
            yield (
                f"missed the target: validation {name.replace('_', ' ')} {measured[name]:.4f} is below "
                f"{target:g} (threshold {manifest.threshold:.4g})"
            )


def worse_than_current(manifest: Manifest, models: Path) -> Iterator[str]:
    """Why a model is not as good as the current one; nothing when it is, or when they cannot be compared.

    Compared is average precision on the validation rows, and only when both were judged on the very same rows: a model
    that was trained on rows which the other is judged on would always look better.
    """
    try:
        current = load_model(models / CURRENT).manifest
    except ModelError:
        return  # none, or none that would be loaded: anything is better
    if _validation_rows(current) != _validation_rows(manifest):
        return
    here, there = (_average_precision(m.metrics) for m in (manifest, current))
    if here < there:
        yield (
            f"worse than the current model {current.version} on the same validation rows: average precision "
            f"{here:.6f}, not {there:.6f}; --force makes it current all the same"
        )


def _validation_rows(manifest: Manifest) -> object:
    return manifest.training.get("validation_sha256", manifest.version)


def _average_precision(metrics: Mapping[str, Mapping[str, float]]) -> float:
    return metrics["validation"]["average_precision"]
