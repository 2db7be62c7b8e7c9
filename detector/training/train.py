"""From data to a model folder: fit, measure, write, and make current what meets its target."""

import hashlib
import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from detector.model.engines import build_engine
from detector.model.folder import WEIGHTS, load_model, make_current, save_model, weights_content
from detector.model.manifest import SCHEMA, Golden, Manifest
from detector.model.network import Network
from detector.records import FEATURES
from detector.training.data import Data
from detector.training.evaluation import evaluate
from detector.training.fit import Epoch, Fitted, fit
from detector.training.plot import loss_plot
from detector.training.recipes import Recipe

MODEL_NAME = "beth-mlp"
LOSS_PLOT = "training-loss.png"
_GOLDEN_ROWS = 64
_LIBRARIES = ("torch", "numpy", "scikit-learn", "safetensors")


@dataclass(frozen=True)
class Trained:
    """A model that was written."""

    path: Path
    manifest: Manifest


def train(
    recipe: Recipe, data: Data, models: Path, seed: int, on_epoch: Callable[[Epoch], None] = lambda _: None
) -> Trained:
    """Train and write a version below `models`; nothing points at it yet.

    Raises:
        ModelError: the folder could not be written, or an engine does not reproduce the golden batch.
    """
    fitted = fit(recipe, data, seed, on_epoch)
    engine = build_engine("torch", fitted.network)
    metrics = {
        name: evaluate(engine.score(split.features), split.labels, recipe.threshold)
        for name, split in data.splits().items()
    }
    weights = weights_content(fitted.network)
    manifest = _manifest(recipe, data, seed, fitted, weights, metrics)
    path = save_model(models, manifest, {WEIGHTS: weights, LOSS_PLOT: loss_plot(fitted.epochs)})
    model = load_model(path)
    for name in ("torch", "numpy"):
        model.engine(name)
    return Trained(path, manifest)


def publish(trained: Trained) -> Path:
    """Make the version the current one."""
    return make_current(trained.path)


def _manifest(
    recipe: Recipe, data: Data, seed: int, fitted: Fitted, weights: bytes, metrics: dict[str, dict[str, Any]]
) -> Manifest:
    digest = hashlib.sha256(weights).hexdigest()
    now = datetime.now(UTC)
    return Manifest(
        schema=SCHEMA,
        name=MODEL_NAME,
        version=f"{now:%Y%m%dT%H%M%S}Z-{digest[:8]}",
        created_at=now.isoformat(timespec="seconds"),
        features=list(FEATURES),
        transforms=fitted.network.transforms,
        layers=fitted.layers,
        threshold=recipe.threshold,
        weights_sha256=digest,
        golden=_golden(fitted.network, data),
        training={
            "recipe": asdict(recipe),
            "seed": seed,
            "files": [asdict(file) for file in data.files],
            "rows": {name: len(split) for name, split in data.splits().items()},
            "positives": {name: int(split.labels.sum()) for name, split in data.splits().items()},
            "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
            "python": platform.python_version(),
        },
        metrics=metrics,
    )


def _golden(network: Network, data: Data) -> Golden:
    """Rows evenly spaced over the validation scores, so that low, high and middling ones are among them."""
    engine = build_engine("torch", network)
    order = np.argsort(engine.score(data.validation.features), kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, _GOLDEN_ROWS).astype(int)]
    rows = data.validation.features[chosen]
    return Golden(rows.tolist(), engine.score(rows).tolist())
