"""The manifest: what a model folder says about itself, as typed data."""

import re
from typing import Any

import msgspec

from detector.errors import ModelError
from detector.records import FEATURES

SCHEMA = "detector.model/1"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}", re.ASCII)
"""A name that is safe as a folder's name, as a label of a metric and in a log."""
TRANSFORMS = ("identity", "signed_log1p")


class Golden(msgspec.Struct, frozen=True):
    """Rows with the scores that this model gave them when it was made."""

    rows: list[list[float]]
    scores: list[float]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`manifest.json`; the field names are the file's."""

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
    """Measures on variations of the test split, by the variation's name."""

    def feature_transforms(self) -> list[str]:
        """One transform per feature: the manifest's, or identity for all when it has none."""
        return self.transforms or ["identity"] * len(self.features)


def parse_manifest(text: bytes) -> Manifest:
    """Read and check a manifest.

    Raises:
        ModelError: it is no manifest, or says something that no engine here can follow.
    """
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"manifest.json: {error}") from error
    for complaint in _complaints(manifest):
        raise ModelError(f"manifest.json: {complaint}")
    return manifest


def render_manifest(manifest: Manifest) -> bytes:
    """The manifest as the text of `manifest.json`, indented for people."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def _complaints(manifest: Manifest) -> list[str]:
    transforms = manifest.feature_transforms()
    unknown = [name for name in transforms if name not in TRANSFORMS]
    width = len(FEATURES)
    checks = {
        f"schema is {manifest.schema!r}, this version reads {SCHEMA!r}": manifest.schema == SCHEMA,
        f"name {manifest.name!r} or version {manifest.version!r} is not of letters, digits and ._+- alone": bool(
            _PLAIN.fullmatch(manifest.name) and _PLAIN.fullmatch(manifest.version)
        ),
        f"features are {manifest.features}, an event has {list(FEATURES)}": (
            sorted(manifest.features) == sorted(FEATURES)
        ),
        f"{len(transforms)} transforms for {width} features": len(transforms) == width,
        f"unknown transforms {unknown}; known are {list(TRANSFORMS)}": not unknown,
        f"layers are {manifest.layers}: want {width} at the start, 1 at the end, none below 1": (
            len(manifest.layers) > 1
            and manifest.layers[0] == width
            and manifest.layers[-1] == 1
            and min(manifest.layers) > 0
        ),
        f"threshold {manifest.threshold} is not in [0, 1]": 0 <= manifest.threshold <= 1,
        "the golden batch is empty, or its rows and scores do not match": (
            0 < len(manifest.golden.rows) == len(manifest.golden.scores)
            and {len(row) for row in manifest.golden.rows} == {width}
        ),
    }
    return [complaint for complaint, ok in checks.items() if not ok]
