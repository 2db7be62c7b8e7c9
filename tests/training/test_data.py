"""Training data: which files are accepted, how they are split, and which errors a user sees."""

import gzip
import hashlib
from pathlib import Path

import pytest

from detector.errors import UsageError
from detector.local.demo import SAMPLE
from detector.training.data import load_data
from detector.training.published import identify
from tests.helpers import event
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
            r'one.csv:2: wrong_type: returnValue is "x", not an integer; correct or remove it',
        ),
        ({"one.csv": "a,b\n"}, "missing columns"),
        ({"one.csv": HEADER + ",userId\n"}, "duplicate columns: userId"),
        *[
            (
                {"one.csv": beth_csv(9, 3).replace(",2,0,1", f",2,{cell},1", 1)},
                rf"one.csv:2: wrong_type: returnValue is \"?{cell}\"?, not an integer",
            )
            for cell in ("", "nan", "NaN", "inf", "1.5")
        ],
        (
            {"one.csv": beth_csv(9, 3).replace("sus_label", "evil")},
            r"one.csv: no row has a label in sus_label or sus, .*; name its field with --label; the fields .*, evil$",
        ),
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


def test_several_files_of_any_format_are_split_together(tmp_path):
    """Otherwise users would have to join and convert the files of several days or hosts."""
    (tmp_path / "one.csv.gz").write_bytes(gzip.compress(beth_csv(60, 20).encode()))
    (tmp_path / "two.ndjson").write_bytes(b"\n".join(event(sus=number % 2) for number in range(40)))

    loaded = load_data(tmp_path / "one.csv.gz", tmp_path / "two.ndjson", seed=0)

    assert [len(split) for split in loaded.splits().values()] == [60, 20, 20]
    assert [int(split.labels.sum()) for split in loaded.splits().values()] == [24, 8, 8]
    assert [(file.name, file.rows, file.positives) for file in loaded.files] == [
        ("one.csv.gz", 60, 20),
        ("two.ndjson", 40, 20),
    ]


def test_label_may_be_in_any_field(tmp_path):
    """Otherwise users whose label has another name would have to rewrite their data."""
    text = beth_csv(50, 20).replace("sus_label", "attack/found")
    (tmp_path / "one.csv").write_text(text.replace(",0,1\n", ",0,True\n").replace(",0,0\n", ",0,False\n"))

    loaded = load_data(tmp_path / "one.csv", seed=0, label="attack/found")

    assert sum(int(split.labels.sum()) for split in loaded.splits().values()) == 20
    for label, error in (
        ("userId", "--label userId: cannot be the label"),
        ("evil", "missing columns evil"),
        ('"', '--label ": cannot be the label'),
    ):
        with pytest.raises(UsageError, match=error):
            load_data(tmp_path / "one.csv", seed=0, label=label)


def test_rows_without_a_label_are_left_out_and_counted(tmp_path):
    """Otherwise a partly labelled file could not be used, or its unlabelled rows would count as benign."""
    (tmp_path / "one.csv").write_text(beth_csv(50, 20) + "1,1,1,0,4026531840,2,0,\n" * 7)

    loaded = load_data(tmp_path / "one.csv", seed=0)

    assert [(file.rows, file.positives, file.unlabelled) for file in loaded.files] == [(50, 20, 7)]


def test_folder_among_files_and_unusable_inputs_are_one_line(tmp_path):
    """Otherwise a training would silently use half of what was given, or hang."""
    (tmp_path / "one.csv").write_text(beth_csv(50, 20))
    for path, error in (
        (tmp_path, "is a folder; give one folder with the three splits of BETH, or files only"),
        (tmp_path / "nowhere", "no such file or folder"),
        (Path("/dev/null"), "is not a regular file; its checksum is recorded with the model"),
    ):
        with pytest.raises(UsageError, match=error):
            load_data(tmp_path / "one.csv", path, seed=0)
