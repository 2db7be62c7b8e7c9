"""`run`, `check` and `config`."""

from typing import TYPE_CHECKING, Annotated

import typer

from detector.cli.common import load, settings_of
from detector.settings.toml_output import render_settings

if TYPE_CHECKING:
    from detector.errors import DetectorError


def run(context: typer.Context) -> None:
    """Run the service in the foreground, until SIGTERM or SIGINT."""
    from detector.service.daemon import run_daemon

    run_daemon(settings_of(context))


def check(
    context: typer.Context,
    connect: Annotated[
        bool, typer.Option("--connect", help="also check brokers, credentials, topics and ACLs")
    ] = False,
) -> None:
    """Check the settings and the model.

    Prints one line for each check. The exit code is 0 if all of them passed.
    """
    from detector.service.check import check as check_everything

    errors: list[DetectorError] = []
    for finding in check_everything(settings_of(context), connect=connect):
        typer.echo(f"{'ok  ' if finding.error is None else 'FAIL'}  {finding.subject:<10}  {finding.detail}")
        errors += [finding.error] if finding.error else []
    if errors:
        raise errors[0]


def config(context: typer.Context) -> None:
    """Print the effective settings and where each value came from.

    The output is TOML that `--config` accepts; secrets are masked.
    """
    for line in render_settings(load(context)):
        typer.echo(line.encode())  # TOML is UTF-8, whatever the locale
