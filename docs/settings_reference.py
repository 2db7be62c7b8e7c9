"""Writes docs/reference/settings.md from the settings' own types: `python docs/settings_reference.py`."""

from collections.abc import Iterator
from pathlib import Path

from detector.settings import Settings
from detector.settings.variables import setting_fields, variable

PAGE = Path(__file__).parent / "reference" / "settings.md"
_INTRODUCTION = r"""# Settings

All settings of the service, with their defaults: look here before you deploy, or when you change how it behaves.
`make docs` writes this page from the code.

Print the values that are in effect, and where each came from:

```console
$ detector config
```

## Where to set a value

A setting can be given in five places. The first place in this list that has it wins:

1. On the command line, before the verb: `detector --set kafka.group_id=blue run`.
2. As an environment variable: `DETECTOR_KAFKA__GROUP_ID=blue`.
3. In a file `.env` in the working directory, as the same variable ([how it is read](#the-file-env)).
4. In the secrets directory, as a file that has the variable's name and contains the value. The directory is
   `/run/secrets`, unless `DETECTOR_SECRETS_DIR` names another.
5. In a TOML file named by `--config` or `DETECTOR_CONFIG`: `[kafka]`, then `group_id = "blue"`.

An empty variable counts as unset. An unknown name is an error (exit code 2) that suggests the nearest known name. This
holds for variables and secrets with a double underscore in the name, and for those without one that look like a typing
error (`DETECTOR_KAFKA_GROUP_ID`). Any other variable that begins with `DETECTOR_` belongs to another program and is
ignored: the ones that Kubernetes sets for a Service named `detector` without a word, the rest with the log event
`setting_ignored`. Files in the secrets directory that are not named like a setting are not read.

Apart from secrets, a value must not have blanks or quotes around it (exit code 2).

### The file .env

- Each line is `NAME=value`, also with `export` before it. The value is the rest of the line, without the blanks around
  it: `$`, `${HOME}` and ` #` in it are kept. A comment needs a line of its own that begins with `#`.
- A value in quotes may have a comment after it, and blanks inside the quotes are kept. In double quotes, `\"`, `\\` and
  `\n` stand for a quote, a backslash and a line end; in single quotes, `\'` and `\\` for a quote and a backslash.
- A line that cannot be parsed is an error with its number (exit code 2).

### Print the settings

The output of `detector config` is TOML that `--config` accepts. Secrets are only comments in it, with the value
masked, so you have to set them again. To print the settings with one of them changed:

```console
$ detector --set kafka.group_id=blue config
```
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
