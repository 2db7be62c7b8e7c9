"""Reading BETH rows from CSV files."""

from pathlib import Path

import pytest

from detector.errors import UsageError
from detector.events.csv_rows import read_rows
from detector.features.beth import BETH
from detector.local.demo import SAMPLE
from tests.helpers import FULL_ROWS

HEADER = "processId,threadId,parentProcessId,userId,mountNamespace,argsNum,returnValue,sus_label"
ROW = "381,7337,1,100,4026532231,5,0,1"


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "rows.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_bundled_sample_is_the_real_head_of_beth():
    """Otherwise the demo and the documented figures would use other rows than the sample's page says."""
    rows = list(read_rows(SAMPLE, BETH.fields, require_label=True))

    assert len(rows) == 12_500
    assert [number for number, row in enumerate(rows) if row.label] == list(range(273))


def test_original_16_columns_are_read_with_their_types():
    """Otherwise an alert would not show its row as it was recorded."""
    first = next(read_rows(FULL_ROWS, BETH.fields))

    assert len(first.event) == 16
    assert first.event["timestamp"] == 1809.495787
    assert first.event["hostName"] == "ip-10-100-1-120"
    assert first.event["stackAddresses"] == "[140662171848350, 11649800180280676]"
    assert first.label == 1


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{ROW}\n",
        f"{HEADER}\n{ROW}",
        f"{HEADER}\r\n{ROW}\r\n",
        f"\ufeff{HEADER}\n{ROW}\n",
        f"index,{HEADER}\n0,{ROW}\n",
        f"\ufeff,{HEADER}\r\n17,{ROW}\r\n",
        f"Unnamed: 0,{HEADER}\n0,{ROW}\n\n",
    ],
    ids=[
        "plain",
        "no newline at the end",
        "CRLF",
        "BOM",
        "index",
        "unnamed index, BOM, CRLF",
        "pandas index, blank line",
    ],
)
def test_variants_of_the_8_columns_are_the_same_row(tmp_path, text):
    """Otherwise users would have to repair files that other tools have written."""
    (row,) = read_rows(write(tmp_path, text), BETH.fields)

    assert row.event == {**dict(zip(HEADER.split(","), map(int, ROW.split(",")), strict=True))}


def test_file_with_other_columns_is_an_error_with_missing_and_found_columns(tmp_path):
    """Otherwise users would not see at once that they chose the wrong file."""
    with pytest.raises(UsageError, match=r"missing columns processId, .*; found a, b"):
        list(read_rows(write(tmp_path, "a,b\n1,2\n"), BETH.fields))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f"{HEADER}\n{ROW}\n1,2,3,x,5,6,7,0\n", r"rows.csv:3: column userId: 'x' is not an integer"),
        (f"{HEADER}\n1,2,3,4.0,5,6,7,0\n", r"rows.csv:2: column userId: '4.0' is not an integer"),
        (f"{HEADER}\n1,2,3,,5,6,7,0\n", r"rows.csv:2: column userId: '' is not an integer"),
        (f"{HEADER}\n1,2,3,nan,5,6,7,0\n", r"column userId: 'nan' is not an integer"),
        (f"{HEADER}\n1,2,3,9223372036854775808,5,6,7,0\n", r"does not fit in 64 bits"),
        (f"{HEADER}\n1,2,3,{'9' * 5000},5,6,7,0\n", r"does not fit in 64 bits"),
        (f"{HEADER}\n1,2,3,4,5,6,7,2\n", r"column sus_label: '2' is not a label"),
        (f"{HEADER}\n1,2,3\n", r"rows.csv:2: 3 cells, but the header has 8"),
        (f"{HEADER},userId\n{ROW},1\n", r"duplicate columns: userId"),
        ("", r"found none"),
        (b"\xff\xfe\x00", r"not UTF-8"),
        (f'{HEADER}\n"1,2\n', r"rows.csv:2: not CSV: .*; correct this line"),
    ],
)
def test_invalid_row_is_an_error_with_file_line_column_and_value(tmp_path, text, error):
    """Otherwise users would have to search the file for the invalid cell."""
    with pytest.raises(UsageError, match=error):
        list(read_rows(write(tmp_path, text), BETH.fields))


def test_label_column_is_required_for_training_only(tmp_path):
    """Otherwise unlabelled rows could not be scored, or a training without labels would fail with an obscure error."""
    path = write(tmp_path, HEADER.removesuffix(",sus_label") + "\n" + ROW.removesuffix(",1") + "\n")

    assert [row.label for row in read_rows(path, BETH.fields)] == [None]
    with pytest.raises(UsageError, match="missing columns sus_label or sus"):
        list(read_rows(path, BETH.fields, require_label=True))


def test_missing_file_is_one_line():
    """Otherwise a mistyped path would give a traceback."""
    with pytest.raises(UsageError, match=r"nowhere.csv: cannot be read: No such file"):
        list(read_rows(Path("nowhere.csv"), BETH.fields))
