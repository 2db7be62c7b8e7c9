"""Bytes to events."""

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from detector.events.decode import decode
from detector.events.second_opinion import REASONS, Refused, host_name, read_event
from detector.records import FEATURES
from tests.helpers import GOOD, event

BAD = {
    "null value": (None, "tombstone"),
    "empty bytes": (b"", "not_json"),
    "truncated": (event()[:-5], "not_json"),
    "array": (b"[1]", "not_an_object"),
    "number": (b"5", "not_an_object"),
    "null": (b"null", "not_an_object"),
    "string": (b'"x"', "not_an_object"),
    "nested 10,000 deep": (event()[:-1] + b',"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "not_json"),
    "5 MB of text": (b"x" * 5_000_000, "not_json"),
    "invalid UTF-8": (b"\xff\xfe", "not_utf8"),
    "invalid UTF-8 in an unknown field": (event()[:-1] + b',"x":"\xff"}', "not_utf8"),
    "invalid UTF-8 in an unknown name": (event()[:-1] + b',"\xff":1}', "not_utf8"),
    "surrogate encoded as UTF-8": (event()[:-1] + b',"x":"\xed\xa0\x80"}', "not_utf8"),
    "byte-order mark": (b"\xef\xbb\xbf" + event(), "not_json"),
    "NaN in an unknown field": (event()[:-1] + b',"x":NaN}', "not_json"),
    "Infinity": (event()[:-1] + b',"x":-Infinity}', "not_json"),
    "leading zero": (event()[:-1] + b',"x":01}', "not_json"),
    "trailing comma": (event()[:-1] + b",}", "not_json"),
    "something behind it": (event() + b"x", "not_json"),
    "missing": (json.dumps({k: v for k, v in GOOD.items() if k != "userId"}).encode(), "missing_field"),
    "required null": (event(userId=None), "wrong_type"),
    "float": (event(userId=1.5), "wrong_type"),
    "whole float": (event(userId=1.0), "wrong_type"),
    "exponent": (event()[:-1].replace(b'"userId": 100', b'"userId": 1e2') + b"}", "wrong_type"),
    "boolean": (event(userId=True), "wrong_type"),
    "text": (event(userId="root"), "wrong_type"),
    "empty string": (event(userId=""), "wrong_type"),
    "plus sign": (event(userId="+1"), "wrong_type"),
    "spaces": (event(userId=" 1"), "wrong_type"),
    "new line": (event(userId="1\n"), "wrong_type"),
    "other digits": (event(userId="\u0661"), "wrong_type"),
    "list": (event(userId=[1]), "wrong_type"),
    "2**63": (event(userId=2**63), "out_of_range"),
    "-2**63-1": (event(userId=-(2**63) - 1), "out_of_range"),
    "2**64": (event(userId=2**64), "out_of_range"),
    "2**63 as text": (event(userId=str(2**63)), "out_of_range"),
    "5,000 digits": (event()[:-1].replace(b'"userId": 100', b'"userId": 1' + b"0" * 5000) + b"}", "out_of_range"),
    "5,000 digits as text": (event(userId="9" * 5000), "out_of_range"),
    "bad, then overwritten by worse": (event()[:-1] + b',"userId":true}', "wrong_type"),
}

GOOD_ONES = {
    "as it is": event(),
    "decimal strings": json.dumps({k: str(v) for k, v in GOOD.items()}).encode(),
    "unknown fields": event(container={"id": "x"}, tags=[1, None]),
    "leading zeros in text": event(userId="00100"),
    "spaces around it": b" \n" + event() + b"\t ",
    "duplicate keys, the last counts": event(userId="root")[:-1] + b',"userId":100}',
    "lone surrogate, which the grammar permits": event()[:-1] + b',"x":"\\ud800"}',
    "huge numbers in unknown fields": event()[:-1] + b',"x":1e400,"y":1' + b"0" * 5000 + b"}",
    "escaped names": event().replace(b'"userId"', b'"\\u0075serId"'),
    "odd types in optional fields": event(sus=[1], sus_label={"a": 1}, hostName=7, timestamp="now"),
    "text beyond ASCII": json.dumps(GOOD | {"args": "äß漢😀"}, ensure_ascii=False).encode(),
}


@pytest.mark.parametrize(("value", "reason"), BAD.values(), ids=BAD)
def test_bad_record_is_rejected_with_its_reason_and_the_rest_is_read(value, reason):
    """One bad record among good ones costs only itself."""
    decoded = decode([event(userId=1), value, event(userId=2)])

    assert [(reject.place, reject.reason) for reject in decoded.rejects] == [(1, reason)]
    assert decoded.rejects[0].detail
    assert list(decoded.accepted) == [0, 2]
    assert decoded.features[:, 3].tolist() == [1, 2]


@pytest.mark.parametrize("value", GOOD_ONES.values(), ids=GOOD_ONES)
def test_good_record_is_read_however_it_is_written(value):
    """What the contract permits gives the same features as the plain form."""
    decoded = decode([value])

    assert decoded.rejects == []
    assert decoded.features.tolist() == [[float(GOOD[name]) for name in FEATURES]]


def test_largest_integers_are_events():
    """Both ends of the 64-bit range are inside it, as numbers and as text."""
    values = [event(userId=form(n)) for n in (-(2**63), 2**63 - 1) for form in (int, str)]

    assert decode(values).features[:, 3].tolist() == [-(2.0**63)] * 2 + [2.0**63] * 2


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
        ({"sus": True}, -1),
        ({"sus": None}, -1),
        ({"sus": "01"}, -1),
        ({"sus_label": 2}, -1),
        ({"evil": 1}, -1),
    ],
)
def test_label_is_read_from_sus_label_else_sus(fields, label):
    """Live precision and recall rest on the label that the record carries."""
    assert decode([event(**fields)]).labels.tolist() == [label]


def test_empty_batch():
    """A batch of nothing is a matrix of no rows, not an error."""
    decoded = decode([])

    assert decoded.features.shape == (0, 7)
    assert decoded.labels.shape == (0,)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
feature_values = st.integers(-(2**70), 2**70) | st.integers(-(2**70), 2**70).map(str) | json_values
almost_events = st.builds(
    lambda extra, changes, missing: json.dumps(
        {name: value for name, value in (extra | GOOD | changes).items() if name not in missing}
    ).encode(),
    st.dictionaries(st.text(), json_values, max_size=2),
    st.dictionaries(st.sampled_from((*FEATURES, "sus", "sus_label")), feature_values, max_size=3),
    st.sets(st.sampled_from(FEATURES), max_size=1),
)
cut = st.builds(lambda value, at: value[: at % (len(value) + 1)], almost_events, st.integers(0))
records = st.lists(st.none() | st.binary() | st.text().map(str.encode) | almost_events | cut, max_size=8)


@settings(max_examples=400, deadline=None)
@given(records)
def test_any_bytes_give_an_event_or_a_reasoned_reject(values):
    """Whatever is in the topic: nothing raises, in = out, and each reject has one of the contract's reasons."""
    decoded = decode(values)

    assert len(decoded.accepted) + len(decoded.rejects) == len(values)
    assert sorted([*decoded.accepted, *(reject.place for reject in decoded.rejects)]) == list(range(len(values)))
    assert {reject.reason for reject in decoded.rejects} <= set(REASONS)
    assert decoded.features.shape == (len(decoded.accepted), 7)


@settings(max_examples=400, deadline=None)
@given(almost_events | st.binary())
def test_fast_path_agrees_with_the_letter_of_the_contract(value):
    """The fast path never accepts what the complete reading refuses, and gives the same numbers."""
    decoded = decode([value])
    try:
        complete = read_event(value)
    except Refused as refused:
        assert [reject.reason for reject in decoded.rejects] == [refused.reason]
    else:
        assert np.array_equal(decoded.features, [[float(complete[name]) for name in FEATURES]])
        assert decoded.labels.tolist() == [complete.get("sus_label", -1)]


host_keys = st.sampled_from(['"hostName"', '"host\\u004eame"'])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(host_keys, json_values), min_size=1, max_size=3),
    st.dictionaries(st.text(), json_values),
    st.booleans(),
)
def test_host_is_the_last_of_that_name_if_it_is_a_text(names, others, ascii_only):
    """As a JSON parser reads it, whatever else is in the event, and however it is spelt."""

    def spelt(value):
        return json.dumps(value, ensure_ascii=ascii_only)

    fields = [f"{spelt(name)}:{spelt(value)}" for name, value in (*GOOD.items(), *others.items())]
    value = ("{" + ",".join(fields + [f"{key}:{spelt(name)}" for key, name in names]) + "}").encode()
    assume(not decode([value]).rejects)
    name = names[-1][1]

    assert host_name(value) == (name if isinstance(name, str) and name else None)
