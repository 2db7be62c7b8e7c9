"""The manifest of a model folder, as typed data."""

import re
from typing import Any

import msgspec

from detector.errors import ModelError
from detector.features.beth import BETH

SCHEMA = "detector.model/1"
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}", re.ASCII)
"""Safe as the name of a folder, as a metric label and in logs."""
TRANSFORMS = ("identity", "signed_log1p")


class Golden(msgspec.Struct, frozen=True):
    """The golden batch: rows, and the scores that the model gave them when it was trained."""

    rows: list[list[float]]
    """Each has a value for every feature of the feature set, in its order, whichever of them the model uses."""
    scores: list[float]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of `manifest.json`, with the same names."""

    schema: str
    name: str
    version: str
    created_at: str
    features: list[str]
    layers: list[int]
    threshold: float
    weights_sha256: str
    golden: Golden
    transforms: list[str] = []
    training: dict[str, Any] = {}
    metrics: dict[str, dict[str, Any]] = {}
    robustness: dict[str, dict[str, Any]] = {}
    """Measures on variations of the test split, by name of the variation."""

    def feature_transforms(self) -> list[str]:
        """One transform for each feature; identity when the manifest has none."""
        return self.transforms or ["identity"] * len(self.features)


def parse_manifest(text: bytes) -> Manifest:
    """Parse and validate a manifest.

    Raises:
        ModelError: the text is not a manifest, or a value is invalid or not supported.
    """
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"manifest.json: {error}") from error
    for problem in _problems(manifest):
        raise ModelError(f"manifest.json: {problem}")
    return manifest


def render_manifest(manifest: Manifest) -> bytes:
    """The contents of `manifest.json`, indented."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def _problems(manifest: Manifest) -> list[str]:
    transforms = manifest.feature_transforms()
    unknown = [name for name in transforms if name not in TRANSFORMS]
    width = len(manifest.features)
    checks = {
        f"schema is {manifest.schema!r}, but this version reads {SCHEMA!r}": manifest.schema == SCHEMA,
        f"name {manifest.name!r} or version {manifest.version!r} has characters other than letters, digits and ._+-": (
            all(map(_SAFE_NAME.fullmatch, (manifest.name, manifest.version)))
        ),
        f"features are {manifest.features}; expected some of {BETH.names}, each at most once": (
            0 < width == len(set(manifest.features) & set(BETH.names))
        ),
        f"{len(transforms)} transforms for {width} features": len(transforms) == width,
        f"unknown transforms {unknown}; known transforms are {list(TRANSFORMS)}": not unknown,
        f"layers are {manifest.layers}; expected {width} first, 1 last, and none below 1": (
            len(manifest.layers) > 1
            and manifest.layers[0] == width
            and manifest.layers[-1] == 1
            and min(manifest.layers) > 0
        ),
        f"threshold {manifest.threshold} is not in [0, 1]": 0 <= manifest.threshold <= 1,
        f"the golden batch is empty, has rows of other than {width} values, or has not one score for each row": (
            0 < len(manifest.golden.rows) == len(manifest.golden.scores)
            and {len(row) for row in manifest.golden.rows} == {width}
        ),
    }
    return [problem for problem, ok in checks.items() if not ok]
