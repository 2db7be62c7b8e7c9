"""Values as their users wrote them: how an error shows them, and what no value should have around it."""

from typing import Any

from detector.errors import UsageError
from detector.settings.variables import setting_fields, variable

_QUOTES = "'\"`"


def assignment(name: str, value: Any, origin: str) -> str:
    """`VARIABLE=value (from origin)` on one line, without the value of a secret."""
    if _is_secret(name):
        return f"{variable(name)} (from {origin})"
    text = str(value)
    shown = text if text.isprintable() and text == text.strip() else repr(text)
    return f"{variable(name)}={shown} (from {origin})"


def check_text(name: str, value: Any, origin: str) -> None:
    """A text is UTF-8, and has no blanks or quotes around it; only a secret may.

    Docker's `--env-file` and `--set` keep quotes that a shell would remove, and a file often ends with a line end.

    Raises:
        UsageError: the value is a text, but not such a one; the error says what to write instead.
    """
    if not isinstance(value, str):
        return
    if any("\ud800" <= character <= "\udfff" for character in value):  # Python's form of bytes that are not UTF-8
        raise UsageError(f"{assignment(name, value, origin)}: is not UTF-8: write it in UTF-8")
    bare = _unwrapped(value)
    if bare == value or not bare or _is_secret(name):
        return
    what = "blanks or a line end" if bare == value.strip() else "quotes"
    raise UsageError(f"{assignment(name, value, origin)}: has {what} around it: write {bare}")


def _unwrapped(text: str) -> str:
    text = text.strip()
    while len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
        text = text[1:-1].strip()
    return text


def _is_secret(name: str) -> bool:
    return "Secret" in str(setting_fields()[name].annotation)
