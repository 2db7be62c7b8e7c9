"""Writes docs/reference/command-line.md from the commands' own help: `python docs/command_line_reference.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from detector.cli import app

PAGE = Path(__file__).parent / "reference" / "command-line.md"
_INTRODUCTION = """# Command line

All commands of `detector` with their options: look here for the exact name of an option. `make docs` writes this page
from the code; `--help` prints the same.

```console
$ detector --help
$ detector dead-letter replay --help
```

Options of `detector` itself come before the verb: `detector --config production.toml run`. Every command exits with one
of the [exit codes](exit-codes.md). `train.py`, in a checkout, is the same as `detector train`, and
[train a model](../how-to/train-a-model.md#options) explains its options.

In a checkout the command is `.venv/bin/detector`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_command([], typer.main.get_command(app))])


def _command(words: list[str], command: Any) -> Iterator[str]:
    """A command's own help, and that of the commands below it; `Any`, because typer's groups have no public type."""
    yield f"## {' '.join(['detector', *words])}\n"
    done = CliRunner().invoke(app, [*words, "--help"], prog_name="detector")
    yield f"```text\n{done.stdout.strip()}\n```\n"
    for verb, subcommand in getattr(command, "commands", {}).items():
        yield from _command([*words, verb], subcommand)


if __name__ == "__main__":
    PAGE.write_text(page())
