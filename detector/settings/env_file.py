"""Reads `.env`: one `NAME=value` on each line, where nothing in a value is replaced and nothing is cut off."""

from pathlib import Path

from dotenv.parser import Binding, parse_stream

from detector.errors import UsageError
from detector.settings.variables import PREFIX

_HINT = "write NAME=value; quotes must be around the whole value, and inside them a quote is written with \\ before it"


def read_env_file(path: Path) -> dict[str, str]:
    """Names and values. `#` starts a comment only at the start of a line, or after the quotes of a quoted value.

    Raises:
        UsageError: the file is not UTF-8, or a line cannot be parsed.
        OSError: the file cannot be read.
    """
    values = {}
    try:
        with path.open(encoding="utf-8-sig") as stream:
            for binding in parse_stream(stream):
                if binding.error or (binding.value is None and (binding.key or "").upper().startswith(PREFIX)):
                    raise UsageError(f"{path}, line {_line(binding)}: cannot be parsed; {_HINT}")
                if binding.key is not None and binding.value is not None:
                    values[binding.key] = _value(binding.original.string, binding.value)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    return values


def _line(binding: Binding) -> int:
    """The number of its line; python-dotenv counts from the empty lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _value(line: str, parsed: str) -> str:
    """python-dotenv's value if it is quoted or empty, else the rest of the line, which it would cut off at ` #`."""
    rest = line.partition("=")[2].strip()
    return parsed if not parsed or rest.startswith(("'", '"')) else rest
