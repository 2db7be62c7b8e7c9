"""Trains a model: fits it, chooses the threshold, evaluates, and writes the model folder."""

import hashlib
import importlib.metadata
import platform
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from detector.features.beth import BETH
from detector.model.engines import Engine, build_engine
from detector.model.folder import WEIGHTS, load_model, make_current, save_model, weights_content
from detector.model.manifest import SCHEMA, Golden, Manifest
from detector.model.network import Float64s, Network
from detector.training.data import Dataset, Split
from detector.training.evaluation import evaluate
from detector.training.figures import loss_plot, report_figures
from detector.training.fit import Epoch, FitResult, fit
from detector.training.recipes import Recipe
from detector.training.robustness import Robustness, measure_robustness
from detector.training.threshold import Threshold, choose_threshold

MODEL_NAME = "beth-mlp"
LOSS_PLOT = "training-loss.png"
REPORT_HTML = "report.html"
REPORT_JSON = "report.json"
_GOLDEN_ROWS = 64
_LIBRARIES = ("torch", "numpy", "scikit-learn", "safetensors")


@dataclass(frozen=True)
class TrainedModel:
    """A model folder that was written, and how its training went."""

    path: Path
    manifest: Manifest
    fitted: FitResult
    threshold: Threshold
    baselines: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Measures by baseline and split; empty if no report was asked for."""


def train(
    recipe: Recipe,
    data: Dataset,
    models: Path,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    *,
    stopped: Callable[[], bool] = lambda: False,
    with_report: bool = False,
) -> TrainedModel:
    """Train a model and write it as a new version in the folder `models`; `publish` makes it current.

    Args:
        recipe: the choices of the training run.
        data: the rows.
        models: the folder of all versions.
        seed: random seed for everything random in the training and the report.
        on_epoch: called after each epoch.
        stopped: called after each epoch; True ends the training early.
        with_report: whether to train the baselines and write the report, too.

    Raises:
        UsageError: the threshold rule is invalid or cannot be met, or the folder could not be written.
        ModelError: an engine does not reproduce the golden batch.
    """
    fitted = fit(recipe, data, seed, on_epoch, stopped)
    engine = build_engine("torch", fitted.network)
    scored = {name: (engine.score(split.features), split) for name, split in data.splits().items()}
    scores, validation = scored["validation"]
    threshold = choose_threshold(recipe.threshold, scores, validation.labels)
    weights = weights_content(fitted.network)
    manifest = _manifest(
        data,
        fitted,
        weights,
        threshold,
        metrics={name: evaluate(scores, split.labels, threshold.value) for name, (scores, split) in scored.items()},
        robustness=measure_robustness(engine.score, data, threshold.value, seed),
        training=_training(recipe, data, seed, fitted, threshold),
    )
    files = {WEIGHTS: weights, LOSS_PLOT: loss_plot(fitted.epochs)}
    baselines = {}
    if with_report:
        report, report_files = _report(data, seed, fitted, threshold, manifest, engine, scored)
        baselines = report["baselines"]
        files |= report_files
    path = save_model(models, manifest, files)
    model = load_model(path)
    for name in ("torch", "numpy"):
        model.engine(name)
    return TrainedModel(path, manifest, fitted, threshold, baselines)


def publish(trained: TrainedModel) -> Path:
    """Make the new version the current model; returns the path of `current`."""
    return make_current(trained.path)


def _report(
    data: Dataset,
    seed: int,
    fitted: FitResult,
    threshold: Threshold,
    manifest: Manifest,
    engine: Engine,
    scored: Mapping[str, tuple[Float64s, Split]],
) -> tuple[dict[str, Any], dict[str, bytes]]:
    # These imports take 1 s; the demo trains without a report.
    from detector.training.baselines import measure_baselines  # noqa: PLC0415
    from detector.training.importance import grouped_errors, permutation_importance  # noqa: PLC0415
    from detector.training.report import render_html, render_json  # noqa: PLC0415

    importance = permutation_importance(engine.score, data.test, seed)
    report = {
        "name": manifest.name,
        "version": manifest.version,
        "weights_sha256": manifest.weights_sha256,
        "training": manifest.training,
        "threshold": asdict(threshold),
        "metrics": manifest.metrics,
        "baselines": measure_baselines(data, seed),
        "robustness": manifest.robustness,
        "permutation_importance": importance,
        "errors": grouped_errors(scored["test"][0], data.test, threshold.value),
        "epochs": [asdict(epoch) for epoch in fitted.epochs],
        "kept_epoch": fitted.kept.number,
    }
    figures = report_figures(fitted.epochs, fitted.kept, scored, threshold.value, importance)
    return report, {REPORT_JSON: render_json(report), REPORT_HTML: render_html(report, manifest, figures)}


def _manifest(
    data: Dataset,
    fitted: FitResult,
    weights: bytes,
    threshold: Threshold,
    *,
    metrics: dict[str, dict[str, float]],
    robustness: Robustness,
    training: dict[str, Any],
) -> Manifest:
    digest = hashlib.sha256(weights).hexdigest()
    now = datetime.now(UTC)
    return Manifest(
        schema=SCHEMA,
        name=MODEL_NAME,
        version=f"{now:%Y%m%dT%H%M%S}Z-{digest[:8]}",
        created_at=now.isoformat(timespec="seconds"),
        features=BETH.names,
        transforms=fitted.network.transforms,
        layers=fitted.layers,
        threshold=threshold.value,
        weights_sha256=digest,
        golden=_golden(fitted.network, data),
        training=training,
        metrics=metrics,
        robustness=robustness,
    )


def _training(recipe: Recipe, data: Dataset, seed: int, fitted: FitResult, threshold: Threshold) -> dict[str, Any]:
    """Everything needed to reproduce the weights."""
    epochs = len(fitted.epochs)
    return {
        "command": f"python train.py DATA --recipe {recipe.name} --seed {seed} --epochs {epochs} "
        f"--threshold '{recipe.threshold}'" + (f" --label {shlex.quote(data.label)}" if data.label else ""),
        "recipe": asdict(recipe),
        "seed": seed,
        "files": [asdict(file) for file in data.files],
        "rows": {name: len(split) for name, split in data.splits().items()},
        "positives": {name: int(split.labels.sum()) for name, split in data.splits().items()},
        "validation_sha256": data.validation.sha256,
        "epochs": epochs,
        "kept_epoch": fitted.kept.number,
        "interrupted": fitted.interrupted,
        "threshold": asdict(threshold),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "python": platform.python_version(),
    }


def _golden(network: Network, data: Dataset) -> Golden:
    """Rows evenly spaced by rank of their validation scores, so that low, medium and high scores are included."""
    engine = build_engine("torch", network)
    order = np.argsort(engine.score(data.validation.features), kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, _GOLDEN_ROWS).astype(int)]
    rows = data.validation.features[chosen]
    return Golden(rows.tolist(), engine.score(rows).tolist())
