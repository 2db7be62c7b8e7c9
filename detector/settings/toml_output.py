"""Prints settings as TOML that results in the same settings."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr

from detector.settings.options import Settings
from detector.settings.sources import LoadedSettings

_MASK = "********"
_TO_ESCAPE = re.compile(r"[\x7f-\x9f\u2028\u2029]")
"""What JSON leaves as it is in texts, but TOML excludes or a terminal would not show."""


def render_settings(loaded: LoadedSettings) -> Iterator[str]:
    """The settings as lines of a TOML file that results in the same settings; secrets are masked."""
    for group in Settings.model_fields:
        yield f"[{group}]"
        for name, value in getattr(loaded.settings, group):
            origin = _text(loaded.origins.get(f"{group}.{name}", "default"))[1:-1]
            if value is None or isinstance(value, SecretStr):
                yield f"# {name} = {'unset' if value is None else _MASK}  # {origin}"
            else:
                yield f"{name} = {_toml(value)}  # {origin}"
        yield ""


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else _text(str(value))


def _text(text: str) -> str:
    """A basic string of TOML, on one line."""
    return _TO_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
