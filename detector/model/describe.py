"""`model show` and `model verify`: the manifest in lines, and the checks of a model folder."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from detector.errors import ModelError
from detector.model.engines import EngineName
from detector.model.folder import GOLDEN_TOLERANCE, load_model
from detector.model.manifest import Manifest


def describe(manifest: Manifest) -> Iterator[str]:
    """The manifest as lines of text."""
    yield f"model      {manifest.name} {manifest.version}"
    yield f"created    {manifest.created_at}"
    yield f"layers     {' → '.join(map(str, manifest.layers))}"
    yield f"threshold  {manifest.threshold:g}"
    yield f"weights    sha256 {manifest.weights_sha256}"
    transforms = manifest.feature_transforms()
    for number, (name, transform) in enumerate(zip(manifest.features, transforms, strict=True)):
        yield f"{'features' if number == 0 else '':<9}  {name:<16}  {transform}"
    for number, (name, value) in enumerate(manifest.training.items()):
        yield f"{'training' if number == 0 else '':<9}  {name:<16}  {_plain(value)}"
    for number, (split, measures) in enumerate(manifest.metrics.items()):
        figures = "  ".join(f"{name} {value:.4f}" for name, value in measures.items() if isinstance(value, float))
        yield f"{'metrics' if number == 0 else '':<9}  {split:<16}  {figures}"
    for number, (variation, measures) in enumerate(manifest.robustness.items()):
        shown = {name: measures.get(name) for name in ("precision", "recall", "average_precision")}
        figures = "  ".join(f"{name} {value:.4f}" for name, value in shown.items() if isinstance(value, float))
        yield f"{'robustness' if number == 0 else '':<10} {variation:<42}  {figures}"
    yield f"golden     {len(manifest.golden.rows)} rows"


_NEEDED_TO_REPRODUCE = ("command", "recipe", "seed", "files", "libraries", "python")
"""Entries of a manifest's `training` that are needed to train the same weights again."""


def _reproducibility(manifest: Manifest) -> str:
    missing = [name for name in _NEEDED_TO_REPRODUCE if name not in manifest.training]
    if missing:
        return f"repeat     not possible: the manifest lacks {', '.join(missing)}"
    return f"repeat     {manifest.training['command']}, with the files and the libraries that the manifest names"


def verify(path: Path) -> Iterator[tuple[bool, str]]:
    """Validate the folder, and compute the golden batch with each installed engine; yields (passed, line) pairs."""
    try:
        model = load_model(path)
    except ModelError as error:
        yield False, str(error)
        return
    yield True, f"schema     {model.manifest.schema}"
    yield True, f"weights    sha256 {model.manifest.weights_sha256}"
    for name in get_args(EngineName):
        if importlib.util.find_spec(name) is None:
            continue
        try:
            model.engine(name)
        except ModelError as error:
            yield False, str(error)
        else:
            yield (
                True,
                f"golden     {len(model.manifest.golden.rows)} rows to {GOLDEN_TOLERANCE:g}, engine {name}",
            )
    yield True, _reproducibility(model.manifest)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(map(_plain, value))
    return str(value)
