"""`demo` and `broker`: the verbs that run the embedded Apache Kafka."""

from pathlib import Path
from typing import Annotated

import typer

from detector.cli.common import needs_extra, settings_of
from detector.errors import DetectorError


def demo(
    context: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="continue to replay until Ctrl-C")] = False,
) -> None:
    """Run everything on this machine: Kafka, a model, the daemon and 12,500 real events.

    At the end every event must be accounted for.
    """
    with needs_extra("train", "the demo"):
        from detector.local.demo import run_demo
    from detector.process.signals import StopRequest, stop_on_signals

    stop = StopRequest()
    settings = settings_of(context)
    with stop_on_signals(stop):
        complete = run_demo(settings, keep=keep, stopped=lambda: bool(stop))
    if not complete:
        raise DetectorError("not every event was accounted for")


def broker(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="port to serve on; 0 picks a free one", min=0, max=65535)] = 0,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="folder that keeps the data over restarts; by default the data is removed at the end"),
    ] = None,
    create_topics: Annotated[
        bool, typer.Option("--create-topics", help="create the three topics of the settings, 4 partitions each")
    ] = False,
) -> None:
    """Run only the embedded Apache Kafka, in the foreground."""
    from detector.local.broker import serve

    serve(settings_of(context).kafka, port, data_dir, create=create_topics, announce=typer.echo)
