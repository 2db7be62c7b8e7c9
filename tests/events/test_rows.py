"""Reading the events of files: formats, encodings, compression, and the same rule for a value everywhere."""

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pytest
import zstandard

from detector.errors import UsageError
from detector.events.rows import read_rows
from detector.features.beth import BETH
from detector.local.demo import SAMPLE
from tests.events.files import HEADER, NDJSON, ROW, decoded, file_with, read
from tests.helpers import FULL_ROWS, GOOD, event


def test_bundled_sample_is_the_real_head_of_beth():
    """Otherwise the demo and the documented figures would use other rows than the sample's page says."""
    rows = read(SAMPLE)

    assert len(rows) == 12_500
    assert [number for number, row in enumerate(rows) if row.event["sus_label"]] == list(range(273))


def test_original_16_columns_are_read_with_their_types():
    """Otherwise an alert would not show its row as it was recorded."""
    first = next(read_rows(FULL_ROWS, BETH.fields)).event

    assert len(first) == 16
    assert first["timestamp"] == 1809.495787
    assert first["hostName"] == "ip-10-100-1-120"
    assert first["stackAddresses"] == "[140662171848350, 11649800180280676]"
    assert first["sus"] == 1


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
        f"{HEADER}\n,,,,,,,\n{ROW}\n,,,,,,,\n",
        f"{HEADER}\n381.0,7337.0,1.0,100.0,4.026532231E9,5.0,-0.0,1.0\n",
        f"{HEADER}\n 381 ,07337,1,100,4026532231,5,0,True\n",
        f'"{HEADER.replace(",", chr(34) + "," + chr(34))}"\n{ROW}\n',
    ],
    ids=[
        "plain",
        "no newline at the end",
        "CRLF",
        "BOM",
        "index",
        "unnamed index, BOM, CRLF",
        "pandas index, blank line",
        "empty rows of a spreadsheet",
        "floats",
        "blanks, leading zero, boolean label",
        "quoted header",
    ],
)
def test_variants_of_the_8_columns_are_the_same_row(tmp_path, text):
    """Otherwise users would have to repair files that other tools have written."""
    (row,) = read(file_with(tmp_path, text))

    assert row.event == {**dict(zip(HEADER.split(","), map(int, ROW.split(",")), strict=True))}


@pytest.mark.parametrize("label", ["1", "1.0", "True", "true", "TRUE", " 1 ", "0", "0.0", "False", "", "2", "x", "01"])
def test_label_means_the_same_in_csv_and_json(tmp_path, label):
    """Otherwise the same rows would have other measures, or train another model, in another format."""
    row = f"{ROW.removesuffix('1')}{label}"
    as_csv = decoded(file_with(tmp_path, f"{HEADER}\n{row}\n"))
    as_json = decoded(file_with(tmp_path, event(sus_label=label), "rows.ndjson"))

    expected = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}.get(label.strip().lower(), -1)
    assert as_csv.labels.tolist() == as_json.labels.tolist() == [expected]


@pytest.mark.parametrize(
    ("cell", "reason", "detail"),
    [
        ("x", "wrong_type", 'userId is "x", not an integer'),
        ("", "wrong_type", 'userId is "", not an integer'),
        ("4.5", "wrong_type", "userId is 4.5, not an integer"),
        ("nan", "wrong_type", 'userId is "nan", not an integer'),
        ("1e400", "wrong_type", 'userId is "1e400", not an integer'),
        ("9223372036854775808", "out_of_range", "userId does not fit in 64 bits"),
        ("9" * 5000, "out_of_range", "userId does not fit in 64 bits"),
    ],
)
def test_invalid_cell_makes_its_row_invalid_and_no_other(tmp_path, cell, reason, detail):
    """Otherwise one bad cell would cost the scores of a file, or a CSV file be judged by other rules than Kafka."""
    text = f"{HEADER}\n{ROW}\n1,2,3,{cell},5,6,7,0\n{ROW}\n"

    found = decoded(file_with(tmp_path, text))

    assert found.invalid == [(1, reason, detail)]
    assert list(found.accepted) == [0, 2]


def test_columns_that_are_not_scored_may_have_any_value(tmp_path):
    """Otherwise a timestamp or an event name in another form would make a file useless."""
    header = f"timestamp,eventId,args,args,evil,{HEADER}"
    text = f"{header}\n2021-05-16T17:13:14Z,openat,a,b,,{ROW}\n1657321167356748797,257,,,maybe,{ROW}\n"

    path = file_with(tmp_path, text)

    assert decoded(path).invalid == []
    first, second = (row.event for row in read(path))
    assert (first["timestamp"], first["eventId"], first["evil"]) == ("2021-05-16T17:13:14Z", "openat", "")
    assert (second["timestamp"], second["eventId"], second["evil"]) == (1657321167356748797, 257, "maybe")


def test_bytes_that_are_not_utf8_make_only_their_row_invalid(tmp_path):
    """Otherwise one file name in Latin-1 would cost the scores of a whole CSV file, but not of NDJSON."""
    text = f"args,{HEADER}\nb\xe4,{ROW}\nb,{ROW}\n".encode("latin-1")

    assert [(invalid.row, invalid.reason) for invalid in decoded(file_with(tmp_path, text)).invalid] == [
        (0, "not_utf8")
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a,b\n1,2\n", r"missing columns processId, .*; found a, b"),
        (f"{HEADER}\n1,2,3\n", r"rows.csv:2: 3 cells, but the header has 8"),
        (f"{HEADER},userId\n{ROW},1\n", r"duplicate columns: userId"),
        (f"{HEADER.replace(',', ';')}\n", r"columns are separated by semicolons; save the file with commas"),
        (f"{HEADER.replace(',', chr(9))}\n", r"columns are separated by tabs; save the file with commas"),
        ("", r"found none"),
        (f'{HEADER}\n"1,2\n', r"rows.csv:2: not CSV: .*; correct this line"),
    ],
)
def test_file_that_is_no_such_csv_is_one_line_with_the_place(tmp_path, text, error):
    """Otherwise users would not see that they chose the wrong file, or would have to search it for the line."""
    with pytest.raises(UsageError, match=error):
        read(file_with(tmp_path, text))


@pytest.mark.parametrize(
    "content",
    [
        NDJSON,
        b"\xef\xbb\xbf" + NDJSON,
        NDJSON.replace(b"\n", b"\r\n\r\n"),
        NDJSON.decode().encode("utf-16"),
        NDJSON.decode().encode("utf-16-le"),
        NDJSON.decode().encode("utf-16-be"),
        NDJSON.decode().encode("utf-32"),
        gzip.compress(NDJSON),
        gzip.compress(NDJSON[:200]) + gzip.compress(NDJSON[200:]),
        zstandard.compress(NDJSON),
        zstandard.compress(NDJSON[:200]) + zstandard.compress(NDJSON[200:]),
        gzip.compress(NDJSON.decode().encode("utf-16")),
        json.dumps([json.loads(line) for line in NDJSON.splitlines()]).encode(),
        json.dumps([json.loads(line) for line in NDJSON.splitlines()], indent=2).encode(),
        b"\n".join(json.dumps(json.loads(line), indent=4).encode() for line in NDJSON.splitlines()),
        b"[" + NDJSON.strip().replace(b"\n", b"\n,") + b",\n]",
        b"".join(json.dumps(json.loads(line), indent=1).replace("{\n", "{").encode() for line in NDJSON.splitlines()),
    ],
    ids=[
        "plain",
        "BOM",
        "CRLF, blank lines",
        "UTF-16",
        "UTF-16-LE",
        "UTF-16-BE",
        "UTF-32",
        "gzip",
        "gzip in two parts",
        "zstandard",
        "zstandard in two frames",
        "gzip of UTF-16",
        "array",
        "indented array",
        "indented",
        "array of lines",
        "indented, first field in the first line",
    ],
)
@pytest.mark.parametrize("name", ["events.ndjson", "events", "events.csv"])
def test_json_is_read_however_it_is_laid_out_encoded_or_compressed(tmp_path, content, name):
    """Otherwise users would have to convert what their shippers and shells have written."""
    path = file_with(tmp_path, content, name)

    assert [row.event for row in read(path)] == [{**GOOD, "userId": 1, "args": "ä漢"}, {**GOOD, "userId": 2}]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, bytes])
def test_csv_is_read_compressed_and_in_any_encoding(tmp_path, compress):
    """Otherwise recordings that are kept compressed would have to be unpacked first."""
    for name in ("rows.csv.gz", "rows.CSV", "rows"):
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            path = file_with(tmp_path, compress(f"{HEADER}\n{ROW}\n".encode(encoding)), name)
            assert decoded(path).fields.tolist() == [[float(GOOD[field]) for field in BETH.fields]]


def test_lines_and_values_are_counted_from_the_start_of_the_file(tmp_path):
    """Otherwise users would look for an invalid event at the wrong place."""
    lines = b"starting\n\n" + event() + b"\n{\n"
    assert [row.line for row in read(file_with(tmp_path, lines, "log.ndjson"))] == [1, 3, 4]

    indented = json.dumps([GOOD, GOOD], indent=1).encode()
    first, second = read(file_with(tmp_path, indented, "a.json"))
    assert (first.line, second.line) == (2, 11)
    assert second.place.endswith("a.json:11")


def test_large_array_is_read_in_pieces(tmp_path):
    """Otherwise an array whose events cross the borders of what is read at once would lose some of them."""
    events = [GOOD | {"args": "x" * (number % 700)} for number in range(3000)]
    path = file_with(tmp_path, json.dumps(events).encode(), "large.json")

    assert [row.event for row in read(path)] == events


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"PAR1" + b"\0" * 50, "is a Parquet file; give CSV, or NDJSON"),
        (gzip.compress(b"PAR1" + b"\0" * 50), "is a Parquet file; give CSV, or NDJSON"),
        (b"Obj\x01" + b"\0" * 50, "is an Avro file"),
        (b"PK\x03\x04" + b"\0" * 50, "is a ZIP archive or a spreadsheet"),
        (bz2.compress(NDJSON), "is compressed with bzip2"),
        (lzma.compress(NDJSON), "is compressed with xz"),
        (b"\0" * 257 + b"ustar" + b"\0" * 250, "is a tar archive"),
        (gzip.compress(NDJSON)[:-9], "compressed data is damaged or incomplete: .*; copy the file again"),
        (gzip.compress(NDJSON)[:40] + b"x" * 40, "compressed data is damaged or incomplete"),
        (zstandard.compress(NDJSON)[:-9], "compressed data is damaged or incomplete: it ends too early"),
        (zstandard.compress(NDJSON) + b"garbage", "compressed data is damaged or incomplete"),
        (b"[" + event() + b",", r"events:1: the array is not closed; copy the file again"),
        (b"[" + event() + b"\n,{]", r"events:2: not JSON: .*; correct this line"),
        (b"[" + b"[" * 20_000, r"events:1: "),
        (NDJSON.decode().encode("utf-16") + b"x", "not UTF-16.* text: .*; convert it to UTF-8"),
    ],
    ids=[
        *("Parquet", "gzip of Parquet", "Avro", "ZIP", "bzip2", "xz", "tar"),
        *("gzip without its end", "gzip damaged", "zstandard without its end", "zstandard and garbage"),
        *("open array", "array with a broken event", "deep array", "UTF-16 with half a character"),
    ],
)
def test_file_of_another_format_or_damaged_is_one_line_that_says_what_it_is(tmp_path, content, error):
    """Otherwise a user would see each line called invalid JSON, or half of a file taken for all of it."""
    with pytest.raises(UsageError, match=error) as caught:
        read(file_with(tmp_path, content, "events"))

    assert "\n" not in str(caught.value)


def test_missing_file_is_one_line(tmp_path):
    """Otherwise a mistyped path would give a traceback."""
    for path, error in ((Path("nowhere.csv"), "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError, match=f"{path}: cannot be read: {error}"):
            read(path)
