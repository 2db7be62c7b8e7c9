"""Event sources: TOML files that say where the fields of an event are."""

import json
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.errors import UsageError
from detector.events.decode import Decoder
from detector.events.source import compile_source, load_source, parse_source
from detector.events.strict_decode import InvalidEventError, StrictDecoder

NESTED = parse_source(
    r"""
name = "nested"

[fields]
pid = "/process/pid"
user = "/process/user/id"
call = "/a~1b/c~0d"
slash = "/a~1b/~01"
empty = "/"
dots = "/evt.type"

[label]
pointers = ["/labels/sus", "/process/sus"]
""",
    "nested.toml",
)
FIELDS = list(NESTED.fields)
EVENT = {
    "process": {"pid": 1, "user": {"id": 2, "name": "root"}, "sus": 0},
    "a/b": {"c~d": 3, "~1": 4},
    "": 5,
    "evt.type": 6,
    "labels": {"sus": 1},
}
nested_decode = Decoder(NESTED, FIELDS)
strict_decode = StrictDecoder(NESTED, FIELDS)


def encode(event: Any) -> bytes:
    return json.dumps(event).encode()


def test_nested_pointers_and_escapes_find_their_values():
    """Otherwise a sensor's nested events could not be scored, or a field would get another field's value."""
    decoded = nested_decode([encode(EVENT)])

    assert decoded.fields.tolist() == [[1, 2, 3, 4, 5, 6]]
    assert decoded.labels.tolist() == [1]


@pytest.mark.parametrize("names", [["dots", "pid"], ["user"], ["pid", "dots", "user", "slash"]])
def test_columns_are_the_requested_fields_in_their_order(names):
    """Otherwise a model that uses only some of a source's fields would get the values of other fields."""
    decoded = Decoder(NESTED, names)([encode(EVENT)])

    assert decoded.fields.tolist() == [[FIELDS.index(name) + 1 for name in names]]


def test_source_without_labels_gives_unlabelled_events():
    """Otherwise events without a label would count for live precision and recall."""
    source = parse_source('name = "unlabelled"\nfields = {pid = "/pid"}', "unlabelled.toml")

    decoded = Decoder(source, ["pid"])([b'{"pid": 7, "sus": 1}'])

    assert (decoded.fields.tolist(), decoded.labels.tolist()) == ([[7]], [-1])


def test_decimal_strings_in_nested_objects_are_integers():
    """Otherwise nested events whose numbers are written as strings would be dead letters."""
    event = EVENT | {"process": {"pid": "0017", "user": {"id": "-2"}}, "labels": {"sus": "0"}}

    decoded = nested_decode([encode(event)])

    assert decoded.fields.tolist() == [[17, -2, 3, 4, 5, 6]]
    assert decoded.labels.tolist() == [0]


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"process": {"pid": 1}}, "missing_field", "user"),
        ({"process": 5}, "missing_field", "pid"),
        ({"process": {"pid": 1, "user": [2]}}, "missing_field", "user"),
        ({"": None}, "wrong_type", "empty is null, not an integer"),
        ({"evt.type": 2**63}, "out_of_range", "dots does not fit in 64 bits"),
    ],
)
def test_invalid_nested_value_is_a_dead_letter_that_names_the_field(change, reason, detail):
    """Otherwise an operator could not tell from a dead letter which field of a nested event is wrong."""
    decoded = nested_decode([encode(EVENT), encode(EVENT | change), encode(EVENT)])

    assert decoded.invalid == [(1, reason, detail)]
    assert decoded.fields[:, 0].tolist() == [1, 1]


numbers = st.integers(-(2**70), 2**70) | st.sampled_from([0, 1]) | st.integers(-(2**64), 2**64).map(str)
odd_values = st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)


def objects(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects in which any key may be missing; sometimes no object at all."""
    return st.fixed_dictionaries({}, optional=values) | odd_values


def complete(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(values)


values = numbers | odd_values
any_events = st.fixed_dictionaries(
    {},
    optional={
        "process": objects(pid=values, user=objects(id=values), sus=values),
        "a/b": st.dictionaries(st.sampled_from(["c~d", "~1", "c~0d"]), values),
        "": values,
        "evt.type": values,
        "labels": objects(sus=values, other=values),
    },
)
likely_events = st.fixed_dictionaries(
    {
        "process": complete(pid=numbers, user=complete(id=numbers)),
        "a/b": st.fixed_dictionaries({"c~d": numbers, "~1": numbers}),
        "": numbers,
        "evt.type": numbers,
    },
    optional={"labels": objects(sus=values)},
)


@settings(max_examples=500)
@given(st.lists(any_events | likely_events, max_size=4))
def test_fast_decoder_of_a_nested_source_agrees_with_the_strict_decoder(events):
    """Otherwise the same nested event could be valid or invalid depending on the records around it."""
    decoded = nested_decode([encode(event) for event in events])
    rows, reasons = [], []
    for event in events:
        try:
            rows.append(strict_decode(encode(event)))
        except InvalidEventError as error:
            reasons.append((error.reason, error.detail))

    assert [(record.reason, record.detail) for record in decoded.invalid] == reasons
    assert np.array_equal(decoded.fields, np.array([row[:6] for row in rows], dtype=np.float64).reshape(-1, 6))
    assert decoded.labels.tolist() == [row[6] for row in rows]


def test_built_in_sources_are_valid_and_named_as_their_files():
    """Otherwise a broken built-in source would stop the service at its start."""
    names = [file.name for file in (files("detector.events") / "sources").iterdir()]

    assert "beth.toml" in names
    for name in names:
        assert f"{load_source(name.removesuffix('.toml')).name}.toml" == name


FIELD = 'name = "x"\n[fields]\n'


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("name = ", "Invalid value"),
        ('fields = {pid = "/pid"}', "missing required field `name`"),
        ('name = "x"', "missing required field `fields`"),
        ('name = "x"\nfields = ["/pid"]', "Expected `object`, got `array` - at `$.fields`"),
        (f"{FIELD}pid = 5", "Expected `str`, got `int` - at `$.fields[...]`"),
        (f'{FIELD}pid = "/pid"\n[lable]\npointers = []', "unknown field `lable`"),
        (f'{FIELD}pid = "/pid"\n[label]\npointer = "/sus"', "unknown field `pointer` - at `$.label`"),
        (f'{FIELD}pid = "pid"', "'pid' is not a JSON Pointer such as /process/pid"),
        (f'{FIELD}pid = ""', "'' is not a JSON Pointer"),
        (f'{FIELD}pid = "/a~2"', "'/a~2' is not a JSON Pointer"),
        (f'{FIELD}pid = "/pid"\n[label]\npointers = ["sus"]', "'sus' is not a JSON Pointer"),
        (f'{FIELD}pid = "/a"\ntid = "/a"', "/a is used twice, or as a value and as an object"),
        (f'{FIELD}pid = "/a"\ntid = "/a/b/c"', "/a/b/c is used twice, or as a value and as an object"),
        (f'{FIELD}pid = "/a/b"\ntid = "/a"', "/a is used twice, or as a value and as an object"),
        (f"{FIELD}pid = '/a\"b'", "must not contain"),
    ],
)
def test_invalid_source_file_is_one_error_that_names_the_file(text, error):
    """Otherwise the author of a source would get a traceback, or events that are decoded wrongly."""
    with pytest.raises(UsageError) as caught:
        parse_source(text, "sensor.toml")

    assert str(caught.value).startswith("sensor.toml: not an event source: ")
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


def test_field_that_a_source_lacks_is_an_error_with_its_fields():
    """Otherwise a model that needs another field would fail with a traceback."""
    with pytest.raises(UsageError, match="event source nested has no field 'userId'; its fields: pid, user, call"):
        compile_source(NESTED, ["pid", "userId"])
