"""The command line: each verb parses its options, calls one function and prints the result."""

import typer

from detector import __version__
from detector.cli import daemon, dead_letters, files, local, model
from detector.cli.common import ConfigFile, Overrides

app = typer.Typer(
    help="Finds suspicious process events in a Kafka topic.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"detector {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: ConfigFile = None,
    override: Overrides = None,
    version: bool = typer.Option(  # noqa: ARG001 - handled by its callback
        False,  # noqa: FBT003 - typer's own form
        "--version",
        callback=_print_version,
        is_eager=True,
        help="print the version and exit",
    ),
) -> None:
    """Options before the verb."""
    context.obj = (config, override or [])


for verb in (daemon.run, daemon.check, daemon.config, files.replay, files.score, local.demo, local.broker):
    app.command()(verb)
app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    files.train
)
app.add_typer(model.app, name="model")
app.add_typer(dead_letters.app, name="dead-letter")
