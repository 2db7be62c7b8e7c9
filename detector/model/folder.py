"""The model folder on disk: `manifest.json` and `weights.safetensors`; nothing in it is ever unpickled."""

import hashlib
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import safetensors
import safetensors.numpy

from detector.errors import ModelError, UsageError
from detector.model.engines import Engine, EngineName, build_engine
from detector.model.manifest import Manifest, parse_manifest, render_manifest
from detector.model.network import Network, network_from_tensors, tensors_from_network

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
CURRENT = "current"
GOLDEN_TOLERANCE = 1e-6
_MAX_BYTES = {MANIFEST: 16 * 1024 * 1024, WEIGHTS: 256 * 1024 * 1024}
"""Far beyond any MLP on seven features; a larger file is a mistake, and is not read into memory."""


@dataclass(frozen=True)
class Model:
    """A model folder that was read and checked."""

    path: Path
    manifest: Manifest
    network: Network

    def engine(self, name: EngineName) -> Engine:
        """An engine for this model that has reproduced its golden batch, as numpy's has.

        Every installation has numpy's: a model is good for all of a mixed fleet, or for none.

        Raises:
            ModelError: scores differ from the manifest's by more than 1e-6.
        """
        if name != "numpy":
            self.engine("numpy")
        engine = build_engine(name, self.network)
        worst = golden_difference(engine, self.manifest)
        if not worst <= GOLDEN_TOLERANCE:
            raise ModelError(
                f"{self.path}: refused: engine {name} gives the golden batch scores that are off by {worst:.2g}, "
                f"more than {GOLDEN_TOLERANCE:g}: train it again"
            )
        return engine


def golden_difference(engine: Engine, manifest: Manifest) -> float:
    """The largest absolute difference between an engine's scores of the golden rows and the manifest's."""
    scores = engine.score(np.array(manifest.golden.rows, dtype=np.float64))
    return float(np.abs(scores - np.array(manifest.golden.scores)).max())


def load_model(path: Path) -> Model:
    """Read a model folder and check it: schema, hash, shapes, values.

    Raises:
        ModelError: there is none, or it was refused; the text says which file and why.
    """
    manifest_file, weights_file = path / MANIFEST, path / WEIGHTS
    if not path.is_dir():
        raise ModelError(
            f"{path}: no model folder there: make one with `python train.py DATA`, or set DETECTOR_MODEL__PATH"
        )
    try:
        manifest = parse_manifest(_read(manifest_file))
        content = _read(weights_file)
        _check_hash(content, manifest)
        network = network_from_tensors(manifest, safetensors.numpy.load(content))
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:  # KeyError: a type unknown to numpy
        raise ModelError(f"{path}: refused: {WEIGHTS}: {error}") from error
    except ModelError as error:
        raise ModelError(f"{path}: refused: {error}") from error
    return Model(path, manifest, network)


def weights_content(network: Network) -> bytes:
    """The bytes of `weights.safetensors`; the same network always gives the same bytes."""
    return safetensors.numpy.save(tensors_from_network(network))


def save_model(models: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Path:
    """Write a version below `models` so that it is there whole or not at all.

    Args:
        models: the folder of all versions.
        manifest: names the version.
        files: the other files of the folder, by name; `weights.safetensors` among them.

    Returns:
        The folder of the version.

    Raises:
        UsageError: the version exists, or the disk refuses.
    """
    target = models / manifest.version
    try:
        models.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(prefix=f".{manifest.version}-", dir=models))
        draft.chmod(0o755)  # mkdtemp's 0700 would hide the model from a daemon with a user of its own
        try:
            for name, content in {**files, MANIFEST: render_manifest(manifest)}.items():
                _write(draft / name, content)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"{target}: the model could not be written: {error.strerror}") from error
    return target


def make_current(version: Path) -> Path:
    """Point `current`, beside the version, at it, in one rename: a reader sees the old or the new, never neither."""
    current = version.parent / CURRENT
    draft = version.parent / f".{CURRENT}-{os.getpid()}"
    try:
        draft.unlink(missing_ok=True)
        draft.symlink_to(version.name)
        draft.replace(current)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UsageError(f"{current}: cannot be pointed at {version.name}: {error.strerror}") from error
    return current


def _check_hash(content: bytes, manifest: Manifest) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.weights_sha256:
        raise ModelError(f"{WEIGHTS}: its sha256 is {digest}, the manifest says {manifest.weights_sha256}")


def _read(file: Path) -> bytes:
    limit = _MAX_BYTES[file.name]
    try:
        # `current` may be a link, and so may a file to another in its folder, as Kubernetes mounts them; not one out.
        if not file.resolve(strict=True).is_relative_to(file.parent.resolve(strict=True)):
            raise ModelError(f"{file.name}: is a link out of the model folder")
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:  # a pipe would wait for a writer
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelError(f"{file.name}: is not a regular file")
            if status.st_size > limit:
                raise ModelError(f"{file.name}: larger than {limit} bytes")
            return stream.read(limit)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"{file.name}: cannot be read: {reason}") from error


def _write(file: Path, content: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
