"""`dead-letter show` and `dead-letter replay`."""

from typing import Annotated

import typer
from rich.console import Console

from detector.cli.common import progress_bar, settings_of
from detector.errors import DetectorError

app = typer.Typer(
    help="Show dead letters, or replay them to the events topic.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Reason = Annotated[str | None, typer.Option(help="only dead letters with this reason, such as not_json")]
Since = Annotated[
    str | None,
    typer.Option(help="only dead letters written at this time or later: 2026-11-21T10:00:00Z, or 2h for 2 hours ago"),
]


@app.command("show")
def show(
    context: typer.Context,
    reason: Reason = None,
    since: Since = None,
    examples: Annotated[int, typer.Option(help="number of examples to print for each reason", min=0)] = 3,
) -> None:
    """Count the dead letters of each reason, and print examples."""
    from detector.dead_letters.selection import parse_selection
    from detector.dead_letters.show import lines, summarize
    from detector.dead_letters.tables import tables
    from detector.process.signals import StopRequest, stop_on_signals

    selection = parse_selection(reason, since)
    kafka = settings_of(context).kafka
    stop, console = StopRequest(), Console()
    with stop_on_signals(stop):
        summaries = summarize(kafka, selection, examples, lambda: bool(stop))
    if stop:
        typer.echo("stopped by a signal; only the records read until then are included")
    if not summaries:
        selected = "no dead letters" if selection.everything else "no matching dead letters"
        typer.echo(f"{selected} in {kafka.dead_letter_topic}")
    elif console.is_terminal:
        for table in tables(kafka.dead_letter_topic, summaries):
            console.print(table)
    else:
        for line in lines(summaries):
            typer.echo(line)


@app.command("replay")
def replay(
    context: typer.Context,
    reason: Reason = None,
    since: Since = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be sent, and send nothing")] = False,
    limit: Annotated[int | None, typer.Option(help="send at most this many records", min=0)] = None,
    max_attempts: Annotated[
        int, typer.Option(help="skip records that were already replayed this many times", min=1)
    ] = 3,
    wait: Annotated[
        float,
        typer.Option(
            help="after sending, wait at most this many seconds until the service has processed the records, and print "
            "the outcome; 0 does not wait",
            min=0,
        ),
    ] = 0,
) -> None:
    """Send the records of dead letters to the events topic again.

    This helps when the service can decode them now, for example after an update. The dead letters stay in their topic.
    """
    from detector.dead_letters.replay import Rules, open_replay
    from detector.dead_letters.selection import parse_selection
    from detector.process.signals import StopRequest, stop_on_signals

    rules = Rules(parse_selection(reason, since), max_attempts, limit)
    kafka = settings_of(context).kafka
    stop = StopRequest()
    with stop_on_signals(stop), open_replay(kafka, rules, stop.wait) as run:
        if dry_run:
            for line in run.dry_run():
                typer.echo(line)
        else:
            with progress_bar("dead letters", run.total) as on_record:
                run.send(on_record)
        typer.echo(run.tally.line(rules, kafka.events_topic, dry_run=dry_run, stopped=bool(stop)))
        if wait and run.tally.written.total and not stop:
            outcome = run.follow(wait)
            typer.echo(outcome.line())
            if outcome.unread and not stop:
                raise DetectorError(
                    f"consumer group {kafka.group_id} has not committed the offsets of all replayed records within "
                    f"{wait:g} s; check that the service is running with DETECTOR_KAFKA__GROUP_ID={kafka.group_id}, or "
                    "give a longer --wait"
                )
