"""`demo` and `broker`: the verbs that run the embedded Apache Kafka."""

from pathlib import Path
from typing import Annotated

import typer

from detector.cli.common import needs_extra, settings_of
from detector.errors import DetectorError


def demo(
    context: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="send the same events again and again until Ctrl-C")] = False,
) -> None:
    """Run Kafka and the service, and score 12,500 real events.

    Everything runs on this machine. The command prints the results. Its exit code is 0 if every event was accounted
    for.
    """
    with needs_extra("train", "the demo"):
        from detector.local.demo import run_demo
    from detector.process.signals import StopRequest, stop_on_signals

    stop = StopRequest()
    settings = settings_of(context)
    with stop_on_signals(stop):
        complete = run_demo(settings, keep=keep, stopped=lambda: bool(stop))
    if not complete:
        raise DetectorError("not every event was accounted for; see the counts above, and report it as a bug")


def broker(
    context: typer.Context,
    port: Annotated[
        int, typer.Option(help="port to listen on, on 127.0.0.1; 0 selects a free one", min=0, max=65535)
    ] = 0,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="directory for Kafka's data, which is kept after the exit; by default a temporary one that is deleted"
        ),
    ] = None,
    create_topics: Annotated[
        bool,
        typer.Option(
            "--create-topics",
            help="create the topics for events, alerts and dead letters, with the names in the settings and 4 "
            "partitions each",
        ),
    ] = False,
) -> None:
    """Run a real Apache Kafka on this machine, until Ctrl-C.

    This is for trials and tests. The command prints `ready HOST:PORT` once clients can connect.
    """
    from detector.local.broker import serve

    serve(settings_of(context).kafka, port, data_dir, create=create_topics, announce=typer.echo)
