"""Labelled BETH rows as arrays: three splits from a folder, or one CSV split into three."""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from detector.errors import UsageError
from detector.events.csv_rows import read_rows
from detector.records import FEATURES
from detector.training.published import identify

SPLITS = ("train", "validation", "test")
_FOLDER_LAYOUTS = (
    ("labelled_train.csv", "labelled_validation.csv", "labelled_test.csv"),
    ("labelled_training_data.csv", "labelled_validation_data.csv", "labelled_testing_data.csv"),
)
_HELD_OUT = 0.2
"""Share of a single file that goes to validation, and again to test."""


@dataclass(frozen=True)
class DataFile:
    """A file that was read, so that a model can say what it was made of."""

    name: str
    sha256: str
    published_as: str | None
    """The name of the published file that this is, byte for byte; None when it is none of them."""
    rows: int
    positives: int


@dataclass(frozen=True)
class Split:
    """Rows for one purpose."""

    features: npt.NDArray[np.float64]
    """`[n, 7]`, columns in the order of `FEATURES`."""
    labels: npt.NDArray[np.float32]
    """`[n]`: 1 suspicious, 0 benign."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sha256(self) -> str:
        """Of the rows and their labels: two models that name the same one were judged on the same rows."""
        digest = hashlib.sha256(np.ascontiguousarray(self.features).tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Data:
    """What a model is trained on, tuned on and judged on."""

    train: Split
    validation: Split
    test: Split
    files: Sequence[DataFile]

    def splits(self) -> dict[str, Split]:
        """By name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def load_data(path: Path, seed: int) -> Data:
    """Read a folder with the three labelled splits, or one CSV that is split 60/20/20, stratified by label.

    Raises:
        UsageError: there is no such data, or it cannot be trained on; with file, line and value.
    """
    if path.is_dir():
        names = _layout(path)
        loaded = [_load(path / name) for name in names]
        splits, files = [split for split, _ in loaded], [file for _, file in loaded]
    elif path.exists():
        whole, file = _load(path)
        _check(path.name, whole)
        splits, files = _split(path, whole, seed), [file]
    else:
        raise UsageError(f"{path}: no such file or folder")
    for name, split in zip(SPLITS, splits, strict=True):
        _check(name, split)
    return Data(splits[0], splits[1], splits[2], files)


def _layout(folder: Path) -> Sequence[str]:
    for names in _FOLDER_LAYOUTS:
        if (folder / names[0]).exists():
            missing = [name for name in names if not (folder / name).exists()]
            if missing:
                raise UsageError(f"{folder}: {', '.join(missing)} missing beside {names[0]}")
            return names
    found = ", ".join(sorted(file.name for file in folder.iterdir())[:10]) or "nothing"
    wanted = " or ".join(", ".join(names) for names in _FOLDER_LAYOUTS)
    raise UsageError(f"{folder}: no BETH splits there: want {wanted}; found {found}")


def _load(path: Path) -> tuple[Split, DataFile]:
    cells, labels = array("q"), array("b")
    for row in read_rows(path, require_label=True):
        cells.extend([row.event[name] for name in FEATURES])
        labels.append(row.label or 0)
    features = np.frombuffer(cells, dtype=np.int64).reshape(-1, len(FEATURES)).astype(np.float64)
    split = Split(features, np.frombuffer(labels, dtype=np.int8).astype(np.float32))
    sha256, published_as = identify(path)
    return split, DataFile(path.name, sha256, published_as, len(split), int(split.labels.sum()))


def _split(path: Path, whole: Split, seed: int) -> list[Split]:
    indices = np.arange(len(whole))
    try:
        rest, test = train_test_split(indices, test_size=_HELD_OUT, random_state=seed, stratify=whole.labels)
        share = _HELD_OUT / (1 - _HELD_OUT)
        train, validation = train_test_split(rest, test_size=share, random_state=seed, stratify=whole.labels[rest])
    except ValueError as error:
        raise UsageError(f"{path}: too few rows to split into three: {error}") from None
    return [Split(whole.features[part], whole.labels[part]) for part in map(np.sort, (train, validation, test))]


def _check(name: str, split: Split) -> None:
    if not len(split):
        raise UsageError(f"{name}: no rows")
    positives = int(split.labels.sum())
    if positives in (0, len(split)):
        only = "suspicious" if positives else "benign"
        raise UsageError(f"{name}: every one of its {len(split)} rows is {only}: both labels are needed")
