"""Labelled events as arrays: three splits from a folder of BETH files, or other files that are split into three."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.errors import UsageError
from detector.events.decode import Decoder
from detector.events.inputs import require_regular
from detector.events.rows import Row, read_rows
from detector.events.source import NO_LABEL, EventSource, load_source, with_label
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
_BATCH_ROWS = 2000


@dataclass(frozen=True)
class DataFile:
    """An input file, as the manifest records it."""

    name: str
    sha256: str
    published_as: str | None
    """The name of the published BETH file with the same bytes; None for any other file."""
    rows: int
    """The labelled rows; the others are not used."""
    positives: int
    unlabelled: int = 0


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
    label: str | None = None
    """The field that the labels were read from; None for BETH's fields."""

    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def load_data(*paths: Path, seed: int, label: str | None = None) -> Dataset:
    """Read a folder with the three labelled splits, or files of labelled events and split them 60/20/20 by label.

    Args:
        paths: one folder; or files, as for `detector.events.rows.read_rows`.
        seed: random seed of the split.
        label: the field that has the label; by default BETH's fields. Rows without a label are left out.

    Raises:
        UsageError: the data is missing, invalid or unsuitable for training; the text names file, line and value.
    """
    source = load_source("beth") if label is None else with_label(load_source("beth"), label)
    if len(paths) == 1 and paths[0].is_dir():
        paths = tuple(paths[0] / name for name in _layout(paths[0]))
        loaded = [_load(path, source, label) for path in paths]
        for path, (split, _) in zip(paths, loaded, strict=True):
            _check(str(path), split)
        splits = [split for split, _ in loaded]
    else:
        for path in paths:
            _check_file(path)
        loaded = [_load(path, source, label) for path in paths]
        name = ", ".join(map(str, paths))
        whole = _joined([split for split, _ in loaded])
        _check(name, whole)
        splits = _split(name, whole, seed)
        for split_name, split in zip(SPLITS, splits, strict=True):
            _check(f"{name}: {split_name} split", split)
    return Dataset(splits[0], splits[1], splits[2], [file for _, file in loaded], label)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give one folder with the three splits of BETH, or files only")
    if not path.exists():
        raise UsageError(
            f"{path}: no such file or folder; give a folder with the labelled training, validation and test files of "
            "BETH, or files of labelled events"
        )
    require_regular(path, "its checksum is recorded with the model")


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


def _load(path: Path, source: EventSource, label: str | None) -> tuple[Split, DataFile]:
    decode = Decoder(source, BETH.fields)
    rows = read_rows(path, [*BETH.fields, *([] if label is None else [label])])
    splits, unlabelled, first = [], 0, None
    while batch := list(islice(rows, _BATCH_ROWS)):
        first = first or batch[0]
        decoded = decode([row.value for row in batch])
        for invalid in decoded.invalid:
            raise UsageError(f"{batch[invalid.row].place}: {invalid.reason}: {invalid.detail}; correct or remove it")
        labelled = decoded.labels != NO_LABEL
        unlabelled += int(len(labelled) - labelled.sum())
        splits.append(Split(decoded.fields[labelled], decoded.labels[labelled].astype(np.float32)))
    split = _joined(splits)
    if first and not len(split):
        raise UsageError(_no_labels(first, label))
    sha256, published_as = identify(path)
    return split, DataFile(path.name, sha256, published_as, len(split), int(split.labels.sum()), unlabelled)


def _no_labels(first: Row, label: str | None) -> str:
    wanted = "sus_label or sus" if label is None else label
    return (
        f"{first.file}: no row has a label in {wanted}, which must be 0 (benign) or 1 (suspicious); name its field "
        f"with --label; the fields of the first row are {', '.join(first.event)}"
    )


def _joined(splits: Sequence[Split]) -> Split:
    features = [split.features for split in splits] or [np.empty((0, len(BETH.names)))]
    labels = [split.labels for split in splits] or [np.empty(0, np.float32)]
    return Split(np.concatenate(features), np.concatenate(labels))


def _split(name: str, whole: Split, seed: int) -> list[Split]:
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
            f"{name}: {len(whole)} rows, {int(whole.labels.sum())} of them suspicious, are too few to split into "
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
