"""Labelled BETH rows as arrays: three splits from a folder, or one CSV file that is split into three."""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.errors import UsageError
from detector.events.csv_rows import read_rows
from detector.features.beth import BETH
from detector.training.published import identify

SPLITS = ("train", "validation", "test")
_FOLDER_LAYOUTS = (
    ("labelled_train.csv", "labelled_validation.csv", "labelled_test.csv"),
    ("labelled_training_data.csv", "labelled_validation_data.csv", "labelled_testing_data.csv"),
)
_HELD_OUT_SHARE = 0.2
"""Share of a single file's rows in the validation split, and again in the test split."""
_SHOWN_FILES = 10


@dataclass(frozen=True)
class DataFile:
    """An input file, as the manifest records it."""

    name: str
    sha256: str
    published_as: str | None
    """The name of the published BETH file with the same bytes; None for any other file."""
    rows: int
    positives: int


@dataclass(frozen=True)
class Split:
    """The rows of one split."""

    features: npt.NDArray[np.float64]
    """`[n, 7]`, columns in the order of the feature set."""
    labels: npt.NDArray[np.float32]
    """`[n]`: 1 suspicious, 0 benign."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sha256(self) -> str:
        """Digest of the rows and labels; models with the same digest were evaluated on the same rows."""
        digest = hashlib.sha256(np.ascontiguousarray(self.features).tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """The rows to train on, to tune on and to test on, and the files they were read from."""

    train: Split
    validation: Split
    test: Split
    files: Sequence[DataFile]

    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def load_data(path: Path, seed: int) -> Dataset:
    """Read a folder with the three labelled splits, or one CSV file and split it 60/20/20, stratified by label.

    Raises:
        UsageError: the data is missing, invalid or unsuitable for training; the text names file, line and value.
    """
    if path.is_dir():
        paths = [path / name for name in _layout(path)]
        loaded = [_load(split_path) for split_path in paths]
        for split_path, (split, _) in zip(paths, loaded, strict=True):
            _check(str(split_path), split)
        splits, files = [split for split, _ in loaded], [file for _, file in loaded]
    elif path.exists():
        whole, file = _load(path)
        _check(str(path), whole)
        splits, files = _split(path, whole, seed), [file]
        for name, split in zip(SPLITS, splits, strict=True):
            _check(f"{path}: {name} split", split)
    else:
        raise UsageError(
            f"{path}: no such file or folder; give a folder with the labelled training, validation and test files of "
            "BETH, or one labelled CSV file"
        )
    return Dataset(splits[0], splits[1], splits[2], files)


def _layout(folder: Path) -> Sequence[str]:
    for names in _FOLDER_LAYOUTS:
        if (folder / names[0]).exists():
            missing = [name for name in names if not (folder / name).exists()]
            if missing:
                raise UsageError(
                    f"{folder}: {', '.join(missing)} missing; training needs the three splits {', '.join(names)}"
                )
            return names
    found = ", ".join(sorted(file.name for file in folder.iterdir())[:_SHOWN_FILES]) or "no files"
    expected = "; or ".join(", ".join(names) for names in _FOLDER_LAYOUTS)
    raise UsageError(f"{folder}: no BETH splits in this folder; expected the files {expected}; found {found}")


def _load(path: Path) -> tuple[Split, DataFile]:
    cells, labels = array("q"), array("b")
    for row in read_rows(path, BETH.fields, require_label=True):
        cells.extend([row.event[field] for field in BETH.fields])
        labels.append(row.label or 0)
    features = np.frombuffer(cells, dtype=np.int64).reshape(-1, len(BETH.names)).astype(np.float64)
    split = Split(features, np.frombuffer(labels, dtype=np.int8).astype(np.float32))
    sha256, published_as = identify(path)
    return split, DataFile(path.name, sha256, published_as, len(split), int(split.labels.sum()))


def _split(path: Path, whole: Split, seed: int) -> list[Split]:
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - takes 2 s, which errors in a file need not

    indices = np.arange(len(whole))
    try:
        rest, test = train_test_split(indices, test_size=_HELD_OUT_SHARE, random_state=seed, stratify=whole.labels)
        share_of_rest = _HELD_OUT_SHARE / (1 - _HELD_OUT_SHARE)
        train, validation = train_test_split(
            rest, test_size=share_of_rest, random_state=seed, stratify=whole.labels[rest]
        )
    except ValueError as error:
        raise UsageError(
            f"{path}: {len(whole)} rows, {int(whole.labels.sum())} of them suspicious, are too few to split into "
            f"training, validation and test rows: {error}; give a larger file"
        ) from None
    return [Split(whole.features[part], whole.labels[part]) for part in map(np.sort, (train, validation, test))]


def _check(name: str, split: Split) -> None:
    if not len(split):
        raise UsageError(f"{name}: no rows; training needs benign and suspicious rows in every split")
    positives = int(split.labels.sum())
    if positives in (0, len(split)):
        only = "suspicious" if positives else "benign"
        raise UsageError(
            f"{name}: all {len(split)} rows are {only}; training needs benign and suspicious rows in every split"
        )
