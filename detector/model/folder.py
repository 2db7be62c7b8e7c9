"""The model folder: `manifest.json` and `weights.safetensors`. Nothing in it is ever unpickled."""

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
_ROLL_BACK = f"point models/{CURRENT} at the previous version"
_MAX_BYTES = {MANIFEST: 16 * 1024 * 1024, WEIGHTS: 256 * 1024 * 1024}
"""Far more than an MLP on seven features needs; a larger file is a mistake, and is not read into memory."""


@dataclass(frozen=True)
class Model:
    """A model folder that was read and validated."""

    path: Path
    manifest: Manifest
    network: Network

    def engine(self, name: EngineName) -> Engine:
        """An engine for this model, after it has reproduced the golden batch.

        The numpy engine, which every installation has, must reproduce the golden batch too: instances with different
        engines then accept or reject the same models.

        Raises:
            ModelError: scores differ from the manifest's by more than 1e-6.
        """
        if name != "numpy":
            self.engine("numpy")
        engine = build_engine(name, self.network)
        worst = golden_difference(engine, self.manifest)
        if not worst <= GOLDEN_TOLERANCE:
            raise ModelError(
                f"{self.path}: model rejected: engine {name} scores the golden batch differently than the manifest "
                f"expects, by up to {worst:.2g} (tolerance {GOLDEN_TOLERANCE:g}); {_ROLL_BACK}, and train this model "
                "again"
            )
        return engine


def golden_difference(engine: Engine, manifest: Manifest) -> float:
    """The largest absolute difference between an engine's scores of the golden batch and the manifest's."""
    scores = engine.score(np.array(manifest.golden.rows, dtype=np.float64))
    return float(np.abs(scores - np.array(manifest.golden.scores)).max())


def load_model(path: Path) -> Model:
    """Read and validate a model folder: schema, hash, shapes, values.

    Raises:
        ModelError: the folder does not exist, or the model is rejected; the text names the file and the reason.
    """
    manifest_file, weights_file = path / MANIFEST, path / WEIGHTS
    if not path.is_dir():
        raise ModelError(
            f"{path}: no such model folder; train a model with `detector train DATA`, or set DETECTOR_MODEL__PATH to a "
            "model folder that exists"
        )
    try:
        manifest = parse_manifest(_read(manifest_file))
        content = _read(weights_file)
        _check_hash(content, manifest)
        network = network_from_tensors(manifest, safetensors.numpy.load(content))
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:  # KeyError: a type that numpy lacks
        raise _rejected(path, f"{WEIGHTS}: {error}") from error
    except ModelError as error:
        raise _rejected(path, str(error)) from error
    return Model(path, manifest, network)


def _rejected(path: Path, reason: str) -> ModelError:
    return ModelError(f"{path}: model rejected: {reason}; copy the model folder again, or {_ROLL_BACK}")


def weights_content(network: Network) -> bytes:
    """The contents of `weights.safetensors`; the same network always gives the same bytes."""
    return safetensors.numpy.save(tensors_from_network(network))


def save_model(models: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Path:
    """Write a new version of a model; readers see the complete version or nothing.

    Args:
        models: the folder of all versions.
        manifest: its `version` is the name of the new folder.
        files: contents of the other files by name, including `weights.safetensors`.

    Returns:
        The folder of the version.

    Raises:
        UsageError: the version already exists, or a file cannot be written.
    """
    target = models / manifest.version
    try:
        models.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(prefix=f".{manifest.version}-", dir=models))
        draft.chmod(0o755)  # mkdtemp's 0700 would hide the model from a daemon with another user
        try:
            for name, content in {**files, MANIFEST: render_manifest(manifest)}.items():
                _write(draft / name, content)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"{target}: cannot write the model: {error.strerror}; choose another folder with --output"
        ) from error
    return target


def make_current(version: Path) -> Path:
    """Make the link `current`, beside the version, point to it. It is replaced by a rename, so it always exists."""
    current = version.parent / CURRENT
    draft = version.parent / f".{CURRENT}-{os.getpid()}"
    try:
        draft.unlink(missing_ok=True)
        draft.symlink_to(version.name)
        draft.replace(current)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UsageError(f"{current}: cannot link to {version.name}: {error.strerror}") from error
    return current


def _check_hash(content: bytes, manifest: Manifest) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.weights_sha256:
        raise ModelError(f"{WEIGHTS}: sha256 is {digest}, but the manifest expects {manifest.weights_sha256}")


def _read(file: Path) -> bytes:
    limit = _MAX_BYTES[file.name]
    try:
        # `current` may be a link, and a file may be a link to another inside the folder, as in Kubernetes mounts. Links
        # out of the folder are rejected: a stranger's model must not make this process read other files of the host.
        if not file.resolve(strict=True).is_relative_to(file.parent.resolve(strict=True)):
            raise ModelError(f"{file.name}: is a link to a file outside of the model folder")
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:  # opening a pipe would block
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelError(f"{file.name}: is not a regular file")
            if status.st_size > limit:
                raise ModelError(f"{file.name}: {status.st_size} bytes, but at most {limit} are permitted")
            return stream.read(limit)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a loop, before Python 3.13
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"{file.name}: cannot be read: {reason}") from error


def _write(file: Path, content: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
