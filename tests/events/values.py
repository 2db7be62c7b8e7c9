"""Record values that are valid events, and values that are not."""

import json

from tests.helpers import GOOD, event

INVALID: dict[str, tuple[bytes | None, str]] = {
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
    "text after the object": (event() + b"x", "not_json"),
    "missing": (json.dumps({k: v for k, v in GOOD.items() if k != "userId"}).encode(), "missing_field"),
    "required null": (event(userId=None), "wrong_type"),
    "float": (event(userId=1.5), "wrong_type"),
    "whole float beyond 2**53": (event(userId=2.0**53 + 2), "wrong_type"),
    "exponent beyond a double": (event().replace(b'"userId": 100', b'"userId": 1e400'), "wrong_type"),
    "float as text": (event(userId="100.0"), "wrong_type"),
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
    "valid, then overwritten by an invalid duplicate key": (event()[:-1] + b',"userId":true}', "wrong_type"),
}
"""What is wrong -> the value, and the reason in its dead letter."""

VALID: dict[str, bytes] = {
    "plain": event(),
    "decimal strings": json.dumps({k: str(v) for k, v in GOOD.items()}).encode(),
    "whole floats": json.dumps({k: float(v) for k, v in GOOD.items()}).encode(),
    "exponents": event().replace(b'"userId": 100', b'"userId": 1.00E+2').replace(b"4026532231", b"4.026532231E9"),
    "negative zero": event().replace(b'"returnValue": 0', b'"returnValue": -0.0'),
    "unknown fields": event(container={"id": "x"}, tags=[1, None]),
    "leading zeros in text": event(userId="00100"),
    "spaces around the object": b" \n" + event() + b"\t ",
    "duplicate keys; the last one counts": event(userId="root")[:-1] + b',"userId":100}',
    "lone surrogate, which JSON permits": event()[:-1] + b',"x":"\\ud800"}',
    "huge numbers in unknown fields": event()[:-1] + b',"x":1e400,"y":1' + b"0" * 5000 + b"}",
    "escaped names": event().replace(b'"userId"', b'"\\u0075serId"'),
    "odd types in optional fields": event(sus=[1], sus_label={"a": 1}, hostName=7, timestamp="now"),
    "text beyond ASCII": json.dumps(GOOD | {"args": "äß漢😀"}, ensure_ascii=False).encode(),
}
"""How the event `GOOD` is written -> the value."""
