"""Training data: which files are accepted, how they are split, and which errors a user sees."""

import hashlib

import pytest

from detector.errors import UsageError
from detector.local.demo import SAMPLE
from detector.training.data import load_data
from detector.training.published import identify
from tests.training.beth_rows import HEADER, beth_csv


@pytest.mark.parametrize(
    ("content", "published_as"), [(SAMPLE.read_bytes(), "the bundled sample of BETH"), (b"x", None)]
)
def test_published_file_is_recognized_by_its_bytes(tmp_path, content, published_as):
    """Otherwise readers of a report could not tell a published file from a modified copy."""
    (tmp_path / "any.csv").write_bytes(content)

    assert identify(tmp_path / "any.csv") == (hashlib.sha256(content).hexdigest(), published_as)


def test_folder_of_three_splits_is_loaded(tmp_path):
    """Otherwise users could not train on BETH as it was published."""
    for names in (
        ("labelled_train.csv", "labelled_validation.csv", "labelled_test.csv"),
        ("labelled_training_data.csv", "labelled_validation_data.csv", "labelled_testing_data.csv"),
    ):
        folder = tmp_path / names[0]
        folder.mkdir()
        for name, rows in zip(names, (30, 20, 10), strict=True):
            (folder / name).write_text(beth_csv(rows, 5))
        loaded = load_data(folder, seed=0)

        assert [len(split) for split in loaded.splits().values()] == [30, 20, 10]
        assert [file.name for file in loaded.files] == list(names)


def test_single_file_is_split_with_both_labels_in_every_split():
    """Otherwise every measure on a split without suspicious rows would be meaningless."""
    loaded = load_data(SAMPLE, seed=3)

    assert [len(split) for split in loaded.splits().values()] == [7500, 2500, 2500]
    assert [int(split.labels.sum()) for split in loaded.splits().values()] == [164, 54, 55]


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({}, r"no BETH splits in this folder; expected .*; found no files"),
        (
            {"labelled_train.csv": beth_csv(9, 3)},
            "labelled_validation.csv, labelled_test.csv missing; training needs the three splits labelled_train.csv",
        ),
        ({"one.csv": beth_csv(9, 0)}, "one.csv: all 9 rows are benign; training needs benign and suspicious rows"),
        ({"one.csv": beth_csv(9, 9)}, "one.csv: all 9 rows are suspicious; training needs"),
        ({"one.csv": HEADER + "\n"}, "one.csv: no rows; training needs"),
        ({"one.csv": beth_csv(5, 1)}, "one.csv: 5 rows, 1 of them suspicious, are too few to split"),
        (
            {"one.csv": beth_csv(9, 3).replace(",2,0,1", ",2,x,1", 1)},
            r"one.csv:2: column returnValue: 'x' is not an integer",
        ),
        ({"one.csv": "a,b\n"}, "missing columns"),
        ({"one.csv": HEADER + ",userId\n"}, "duplicate columns: userId"),
        *[
            (
                {"one.csv": beth_csv(9, 3).replace(",2,0,1", f",2,{cell},1", 1)},
                rf"one.csv:2: column returnValue: '{cell}' is not an integer",
            )
            for cell in ("", "nan", "NaN", "inf", "1.5")
        ],
        ({"one.csv": beth_csv(9, 3).replace(",2,0,1", ",2,0,2", 1)}, "one.csv:2: column sus_label: '2' is not a label"),
        ({"one.csv": beth_csv(9, 3).replace(",2,0,1", ",2,0,", 1)}, "one.csv:2: column sus_label: '' is not a label"),
        (
            {
                "labelled_train.csv": beth_csv(9, 3),
                "labelled_validation.csv": HEADER + "\n",
                "labelled_test.csv": beth_csv(9, 3),
            },
            "labelled_validation.csv: no rows",
        ),
    ],
)
def test_unusable_data_is_reported_with_its_place(tmp_path, files, error):
    """Otherwise nobody would find the bad cell in a file of a million rows."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    path = tmp_path / "one.csv" if "one.csv" in files else tmp_path

    with pytest.raises(UsageError, match=error):
        load_data(path, seed=0)
