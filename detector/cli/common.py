"""Helpers of the verbs: settings, optional packages, progress bars."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from detector.errors import missing_extra
from detector.process import log_events
from detector.process.logs import configure_logging
from detector.settings import Settings
from detector.settings.sources import LoadedSettings, load_settings

ConfigFile = Annotated[
    Path | None, typer.Option(help="settings file (TOML); by default the file named by DETECTOR_CONFIG")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="change one setting, for example kafka.group_id=blue; can be repeated")
]


def load(context: typer.Context) -> LoadedSettings:
    """The settings with their origins; also configures logging, and logs what has no effect."""
    config, overrides = context.obj
    loaded = load_settings(config, overrides)
    configure_logging(loaded.settings.log.level, loaded.settings.log.format)
    for ignored in loaded.ignored:
        log_events.SETTING_IGNORED.log(name=ignored.name, origin=ignored.origin, reason=ignored.reason)
    return loaded


def settings_of(context: typer.Context) -> Settings:
    """The settings; also configures logging."""
    return load(context).settings


@contextmanager
def needs_extra(extra: str, feature: str) -> Iterator[None]:
    """Turns a failed import of an optional package into an error that names the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("detector"):
            raise
        raise missing_extra(extra, feature) from error


@contextmanager
def progress_bar(unit: str, total: int | None) -> Iterator[Any]:
    """A progress bar, on a terminal only; yields a function that sets the number of finished units, and the total."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(unit, total=total)
        yield lambda number, total=None: bar.update(task, completed=number, total=total)
