"""`model show` and `model verify`."""

from pathlib import Path
from typing import Annotated

import typer

from detector.cli.common import settings_of
from detector.errors import ModelError

app = typer.Typer(help="Describe or check a model folder.", no_args_is_help=True, rich_markup_mode=None)

ModelPath = Annotated[Path | None, typer.Argument(help="model folder; by default that of the setting model.path")]


@app.command("show")
def show(context: typer.Context, path: ModelPath = None) -> None:
    """Print the manifest: training, quality and threshold."""
    from detector.model.describe import describe
    from detector.model.folder import load_model

    for line in describe(load_model(path or settings_of(context).model.path).manifest):
        typer.echo(line)


@app.command("verify")
def verify(context: typer.Context, path: ModelPath = None) -> None:
    """Check that a model folder is complete and undamaged.

    The model must also give the scores that its manifest expects for the golden batch.
    """
    from detector.model.describe import verify as verify_folder

    failed = False
    for ok, line in verify_folder(path or settings_of(context).model.path):
        typer.echo(f"{'ok  ' if ok else 'FAIL'}  {line}")
        failed |= not ok
    if failed:
        raise typer.Exit(ModelError.exit_code)
