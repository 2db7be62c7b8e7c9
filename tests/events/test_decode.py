"""Record values to events: the fast decoder, and its agreement with the strict one."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from detector.events.decode import Decoder
from detector.events.source import load_source
from detector.events.strict_decode import REASONS, InvalidEventError, StrictDecoder, host_name
from detector.features.beth import BETH
from tests.events.values import INVALID, VALID
from tests.helpers import GOOD, event

decode = Decoder(load_source("beth"), BETH.fields)
strict_decode = StrictDecoder(load_source("beth"), BETH.fields)


@pytest.mark.parametrize(("value", "reason"), INVALID.values(), ids=INVALID)
def test_invalid_record_has_its_reason_and_the_other_records_are_decoded(value, reason):
    """Otherwise one invalid record would cost the valid events around it."""
    decoded = decode([event(userId=1), value, event(userId=2)])

    assert [(record.row, record.reason) for record in decoded.invalid] == [(1, reason)]
    assert decoded.invalid[0].detail
    assert list(decoded.accepted) == [0, 2]
    assert decoded.fields[:, 3].tolist() == [1, 2]


@pytest.mark.parametrize("value", VALID.values(), ids=VALID)
def test_valid_event_gives_the_same_fields_however_it_is_written(value):
    """Otherwise events of producers that write JSON differently would get other scores or be dead letters."""
    decoded = decode([value])

    assert decoded.invalid == []
    assert decoded.fields.tolist() == [[float(GOOD[name]) for name in BETH.fields]]


def test_both_ends_of_the_64_bit_range_are_valid():
    """Otherwise events with the smallest or the largest integer would be dead letters."""
    values = [event(userId=form(n)) for n in (-(2**63), 2**63 - 1) for form in (int, str)]

    assert decode(values).fields[:, 3].tolist() == [-(2.0**63)] * 2 + [2.0**63] * 2


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({}, -1),
        ({"sus": 1}, 1),
        ({"sus": "0"}, 0),
        ({"sus_label": "1"}, 1),
        ({"sus_label": 0, "sus": 1}, 0),
        ({"sus_label": 1.0}, 1),
        ({"sus_label": 7, "sus": 1}, 1),
        ({"sus": True}, 1),
        ({"sus": False}, 0),
        ({"sus": "True"}, 1),
        ({"sus": "false"}, 0),
        ({"sus": "1.0"}, 1),
        ({"sus": " 0 "}, 0),
        ({"sus_label": ""}, -1),
        ({"sus_label": "", "sus": 1}, 1),
        ({"sus": 0.5}, -1),
        ({"sus": None}, -1),
        ({"sus": "01"}, -1),
        ({"sus_label": 2}, -1),
        ({"evil": 1}, -1),
    ],
)
def test_label_is_sus_label_or_else_sus(fields, label):
    """Otherwise live precision and recall would be computed from wrong labels."""
    assert decode([event(**fields)]).labels.tolist() == [label]


def test_batch_without_records_is_decoded():
    """Otherwise a poll without records would stop the service."""
    decoded = decode([])

    assert decoded.fields.shape == (0, 7)
    assert decoded.labels.shape == (0,)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
field_values = st.integers(-(2**70), 2**70) | st.integers(-(2**70), 2**70).map(str) | json_values
almost_events = st.builds(
    lambda extra, changes, missing: json.dumps(
        {name: value for name, value in (extra | GOOD | changes).items() if name not in missing}
    ).encode(),
    st.dictionaries(st.text(), json_values, max_size=2),
    st.dictionaries(st.sampled_from((*BETH.fields, "sus", "sus_label")), field_values, max_size=3),
    st.sets(st.sampled_from(BETH.fields), max_size=1),
)
truncated_events = st.builds(lambda value, at: value[: at % (len(value) + 1)], almost_events, st.integers(0))
records = st.lists(st.none() | st.binary() | st.text().map(str.encode) | almost_events | truncated_events, max_size=8)


@settings(max_examples=400)
@given(records)
def test_any_bytes_are_an_event_or_an_invalid_record_with_a_reason(values):
    """Otherwise some value could stop the service, or be neither scored nor written as a dead letter."""
    decoded = decode(values)

    assert len(decoded.accepted) + len(decoded.invalid) == len(values)
    assert sorted([*decoded.accepted, *(record.row for record in decoded.invalid)]) == list(range(len(values)))
    assert {record.reason for record in decoded.invalid} <= set(REASONS)
    assert decoded.fields.shape == (len(decoded.accepted), 7)


@settings(max_examples=400)
@given(almost_events | st.binary())
def test_fast_decoder_agrees_with_the_strict_decoder(value):
    """Otherwise the same event could be valid or invalid depending on the records around it."""
    decoded = decode([value])
    try:
        row = strict_decode(value)
    except InvalidEventError as error:
        assert [record.reason for record in decoded.invalid] == [error.reason]
    else:
        assert np.array_equal(decoded.fields, [list(map(float, row[: len(BETH.fields)]))])
        assert decoded.labels.tolist() == [row[len(BETH.fields)]]


host_keys = st.sampled_from(['"hostName"', '"host\\u004eame"'])


@settings(max_examples=300)
@given(
    st.lists(st.tuples(host_keys, json_values), min_size=1, max_size=3),
    st.dictionaries(st.text(), json_values),
    st.booleans(),
)
def test_host_is_the_last_value_with_that_key_when_it_is_a_string(names, others, ascii_only):
    """Otherwise alerts of one host would have different keys, and could arrive out of order."""

    def as_json(value: Any) -> str:
        return json.dumps(value, ensure_ascii=ascii_only)

    fields = [f"{as_json(name)}:{as_json(value)}" for name, value in (*GOOD.items(), *others.items())]
    value = ("{" + ",".join(fields + [f"{key}:{as_json(name)}" for key, name in names]) + "}").encode()
    assume(not decode([value]).invalid)
    name = names[-1][1]

    assert host_name(value) == (name if isinstance(name, str) and name else None)
