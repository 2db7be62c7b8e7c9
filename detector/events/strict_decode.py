"""The strict decoder: decodes one value completely, and says why a value is no valid event."""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from detector.events.source import NO_LABEL, EventSource
from detector.events.values import INT64, bounded_int, integer, label

REASONS = (
    "tombstone",
    "not_utf8",
    "not_json",
    "not_an_object",
    "missing_field",
    "wrong_type",
    "out_of_range",
)
"""Every reason that a dead letter can have, in the order in which they are checked."""

_SHOWN_CHARS = 60


class InvalidEventError(Exception):
    """A record's value is no valid event: `reason` is one of `REASONS`, `detail` is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class StrictDecoder:
    """Decodes one value by the contract: slow, but it decides about every value that the fast decoder rejects.

    Args:
        source: where the fields are.
        fields: which fields the rows have.
    """

    def __init__(self, source: EventSource, fields: Sequence[str]) -> None:
        self._fields = [(field, source.pointer(field)) for field in fields]
        self._labels = source.label_pointers()

    def __call__(self, value: bytes | None) -> list[int]:
        """The fields of the event, then its label values, of which at most the first is not -1.

        Raises:
            InvalidEventError: the value is no valid event; no value raises anything else.
        """
        event = _parse_object(value)
        row = [_integer(field, keys, event) for field, keys in self._fields]
        usable = (found for keys in self._labels if (found := label(_find(event, keys))) is not None)
        labels = [next(usable, NO_LABEL), *[NO_LABEL] * len(self._labels)]
        return row + labels[: len(self._labels)]


def host_name(value: bytes) -> str | None:
    """The `hostName` of a valid event, when it is a non-empty string.

    Raises:
        InvalidEventError: the JSON is nested too deeply.
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
        raise InvalidEventError("tombstone", "null value")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidEventError("not_utf8", f"byte {error.start}: {error.reason}") from None
    try:
        parsed = _parse_json(text)
    except RecursionError:
        raise InvalidEventError("not_json", "the JSON is nested too deeply") from None
    except ValueError as error:
        raise InvalidEventError("not_json", str(error)) from None
    if not isinstance(parsed, dict):
        raise InvalidEventError("not_an_object", f"the value is a JSON {_json_type(parsed)}")
    return parsed


def _parse_json(text: str) -> Any:
    try:
        # Four times as fast as `json`, which matters for a topic whose events all have decimal strings ...
        return _decode_any(text)
    except msgspec.MsgspecError:
        # ... but it rejects some valid JSON: lone surrogates, numbers beyond 64 bits or a double.
        return json.loads(text, parse_int=bounded_int, parse_constant=_no_constant)


_decode_any = msgspec.json.Decoder().decode


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_MISSING = object()


def _find(event: dict[str, Any], keys: Sequence[str]) -> Any:
    found: Any = event
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            return _MISSING
        found = found[key]
    return found


def _integer(field: str, keys: Sequence[str], event: dict[str, Any]) -> int:
    value = _find(event, keys)
    if value is _MISSING:
        raise InvalidEventError("missing_field", field)
    number = integer(value)
    if number is None:
        raise InvalidEventError("wrong_type", f"{field} is {_shown(value)}, not an integer")
    if number not in INT64:
        raise InvalidEventError("out_of_range", f"{field} does not fit in 64 bits")
    return number


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
