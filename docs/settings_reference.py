"""Writes docs/settings.md from the settings' own types: `python docs/settings_reference.py`."""

from collections.abc import Iterator
from pathlib import Path

from detector.settings import Settings
from detector.settings_sources import setting_fields, variable

PAGE = Path(__file__).parent / "settings.md"
_INTRODUCTION = """# Settings

This page is made from the types in `detector/settings.py` by `make docs`.

Each setting can be given, highest precedence first:

1. on the command line, before the verb: `detector --set kafka.group_id=blue run`;
2. as an environment variable: `DETECTOR_KAFKA__GROUP_ID=blue`;
3. in a file `.env` in the working folder, as the same variable;
4. as a file named like the variable in the secrets folder, `/run/secrets` or `DETECTOR_SECRETS_DIR`;
5. in a TOML file named by `--config` or `DETECTOR_CONFIG`: `[kafka]`, `group_id = "blue"`.

An empty variable counts as unset. An unknown name is an error that suggests the nearest one. `detector config` prints
the effective settings in the form of the TOML file, with the origin of each, secrets masked.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_tables()])


def _tables() -> Iterator[str]:
    fields = setting_fields()
    for group, group_field in Settings.model_fields.items():
        yield f"## {group}\n"
        yield f"{type(group_field.default).__doc__}\n"
        yield "| variable | default | meaning |\n|---|---|---|"
        for name, field in fields.items():
            if name.startswith(f"{group}."):
                default = "none" if field.default is None else f"`{field.default}`"
                yield f"| `{variable(name)}` | {default} | {field.description} |"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
