"""The complete reading of one record's value, for those that the fast path refuses: an event, or why it is none."""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from detector.records import FEATURES

REASONS = (
    "tombstone",
    "not_utf8",
    "not_json",
    "not_an_object",
    "missing_field",
    "wrong_type",
    "out_of_range",
)
"""Every reason that a dead letter can have, in the order in which they are looked for."""

_INT64 = range(-(2**63), 2**63)
_LABELS: Mapping[Any, int] = {"0": 0, "1": 1}
_DECIMAL = re.compile(r"-?[0-9]+", re.ASCII)
_LONGEST_INT64 = len(str(_INT64.start))
_SHOWN_CHARS = 60


class Refused(Exception):  # noqa: N818 - it is an outcome, not a fault
    """A record that is no event, with the contract's reason and the detail for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def read_event(value: bytes | None) -> dict[str, int]:
    """Read one value by the letter of the contract.

    Returns:
        The seven features; `sus_label` too when the event has a usable label under either name.

    Raises:
        Refused: it is no event; nothing else is raised, whatever the bytes.
    """
    fields = _parse_object(value)
    event = {name: _integer(name, fields) for name in FEATURES}
    for name in ("sus_label", "sus"):
        label = _label(fields.get(name))
        if label is not None:
            event["sus_label"] = label
            break
    return event


def host_name(value: bytes) -> str | None:
    """The `hostName` of a value that was read as an event, when it is a non-empty string.

    Raises:
        Refused: it is nested too deep to tell.
    """
    try:
        name = _decode_host(value).hostName
    except (msgspec.MsgspecError, RecursionError):
        name = _parse_object(value).get("hostName")
    return name if isinstance(name, str) and name else None


class _Host(msgspec.Struct, gc=False):
    hostName: str | None = None  # noqa: N815 - the name of the wire format


_decode_host = msgspec.json.Decoder(_Host).decode


def _parse_object(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise Refused("tombstone", "null value")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", f"byte {error.start}: {error.reason}") from None
    try:
        parsed = _parse_json(text)
    except RecursionError:
        raise Refused("not_json", "nested too deep") from None
    except ValueError as error:
        raise Refused("not_json", str(error)) from None
    if not isinstance(parsed, dict):
        raise Refused("not_an_object", f"a JSON {_json_type(parsed)}")
    return parsed


def _parse_json(text: str) -> Any:
    try:
        # Four times as fast as `json`, which matters to a topic full of decimal strings ...
        return _decode_any(text)
    except msgspec.MsgspecError:
        # ... but it refuses some JSON that the grammar permits: lone surrogates, numbers beyond 64 bits or a double.
        return json.loads(text, parse_int=_bounded_int, parse_constant=_no_constant)


_decode_any = msgspec.json.Decoder().decode


def _bounded_int(digits: str) -> int:
    # Longer than any 64-bit integer: its exact value does not matter, and reading it would take quadratic time.
    return int(digits) if len(digits) <= _LONGEST_INT64 else _INT64.stop


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(name: str, fields: dict[str, Any]) -> int:
    try:
        value = fields[name]
    except KeyError:
        raise Refused("missing_field", name) from None
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        sign, digits = ("-", value[1:]) if value[0] == "-" else ("", value)
        value = _bounded_int(sign + (digits.lstrip("0") or "0"))
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused("wrong_type", f"{name} is {_shown(value)}, not an integer")
    if value not in _INT64:
        raise Refused("out_of_range", f"{name} does not fit in 64 bits")
    return value


def _label(value: Any) -> int | None:
    if isinstance(value, str):
        return _LABELS.get(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value in (0, 1):
        return int(value)
    return None


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict | list):
        return f"a JSON {_json_type(value)}"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _json_type(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")
