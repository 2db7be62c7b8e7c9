"""The verbs of the command: each parses, calls one function, and prints."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from detector import __version__
from detector.errors import DetectorError, ModelError, UsageError, missing_extra
from detector.logs import configure_logging
from detector.settings import Settings
from detector.settings_sources import LoadedSettings, load_settings, render_settings

app = typer.Typer(
    help="Finds suspicious process events in a Kafka topic.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
model_app = typer.Typer(help="Look at a model folder.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(model_app, name="model")
dead_letter_app = typer.Typer(
    help="Look at dead letters, and send them back.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(dead_letter_app, name="dead-letter")

Files = Annotated[list[Path], typer.Argument(help="BETH CSV files, either format", metavar="FILE...")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"detector {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="settings file, TOML; also DETECTOR_CONFIG")] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", help="one setting, as group.name=value; may be repeated")
    ] = None,
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and exit"),
    ] = False,
) -> None:
    """Options that come before the verb."""
    context.obj = (config, override or [])


def _load(context: typer.Context) -> LoadedSettings:
    config, overrides = context.obj
    loaded = load_settings(config, overrides)
    configure_logging(loaded.settings.log.level, loaded.settings.log.format)
    return loaded


def _settings(context: typer.Context) -> Settings:
    return _load(context).settings


@app.command()
def run(context: typer.Context) -> None:
    """Run the daemon in the foreground, until SIGTERM or SIGINT."""
    from detector.service.allocator import keep_freed_memory

    settings = _settings(context)
    if settings.kafka.client == "kafka-python":  # librdkafka keeps its own
        keep_freed_memory()

    from detector.service.daemon import Daemon

    Daemon(settings).run()


@app.command()
def check(
    context: typer.Context,
    connect: Annotated[
        bool, typer.Option("--connect", help="also brokers, credentials, topics and the rights on them")
    ] = False,
) -> None:
    """Check the settings and the model; one line each."""
    from detector.service.check import check as check_everything

    errors: list[DetectorError] = []
    for finding in check_everything(_settings(context), connect=connect):
        typer.echo(f"{'ok  ' if finding.error is None else 'FAIL'}  {finding.subject:<10}  {finding.detail}")
        errors += [finding.error] if finding.error else []
    if errors:
        raise errors[0]


@app.command()
def config(context: typer.Context) -> None:
    """Print the effective settings and their origins.

    The output is TOML that `--config` takes; secrets are masked.
    """
    for line in render_settings(_load(context)):
        typer.echo(line)


@app.command()
def replay(
    context: typer.Context,
    files: Files,
    rate: Annotated[float | None, typer.Option(help="events per second", min=0.001)] = None,
    speed: Annotated[float | None, typer.Option(help="times the recorded pace", min=0.001)] = None,
    loop: Annotated[bool, typer.Option("--loop", help="start again at the end, until Ctrl-C")] = False,
    limit: Annotated[int | None, typer.Option(help="produce this many events at most", min=0)] = None,
) -> None:
    """Produce BETH rows to the events topic."""
    from detector.local.replay import Pace, count_rows
    from detector.local.replay import replay as produce
    from detector.service.signals import Stop, stop_on_signals

    if rate and speed:
        raise UsageError("--rate and --speed are two ways to say how fast: give one")
    settings = _settings(context)
    stop = Stop()
    total = limit if loop or limit is not None else count_rows(files)
    with stop_on_signals(stop), _progress("events", total) as on_event:
        done = produce(
            settings.kafka,
            files,
            pace=Pace(rate, speed),
            loop=loop,
            limit=limit,
            on_event=on_event,
            stopped=lambda: bool(stop),
        )
    per_second = done.events / max(done.seconds, 1e-9)
    typer.echo(
        f"replayed {done.events} events to {settings.kafka.events_topic} in {done.seconds:.1f} s, {per_second:,.0f}/s"
    )


@app.command()
def score(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="CSV or NDJSON files", metavar="FILE...")],
    output: Annotated[Path | None, typer.Option(help="write row,score,suspicious for each event here")] = None,
) -> None:
    """Score files offline, exactly as the daemon would."""
    from detector.service.offline import score_files, write_scores
    from detector.service.scoring import Scorer

    scorer = Scorer.load(_settings(context).model)
    result = write_scores(files, scorer, output) if output else score_files(files, scorer, None)
    typer.echo(f"rows {result.rows}, suspicious {result.suspicious}, threshold {scorer.threshold:g}")
    for reason, number in result.rejects.most_common():
        typer.echo(f"not scored: {number} rows, {reason}")
    labels, scores = result.labelled()
    if len(labels):
        try:
            from detector.training.evaluation import evaluate, measures_table
        except ModuleNotFoundError:  # the scores are there, and are what was asked for
            typer.echo(f"not measured: {missing_extra('train', 'measuring scores against labels')}", err=True)
            return
        for line in measures_table({f"{len(labels)} labelled": evaluate(scores, labels, scorer.threshold)}):
            typer.echo(line)


@app.command()
def demo(
    context: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="go on replaying until Ctrl-C")] = False,
) -> None:
    """See it all work on this machine, with books at the end.

    A real Kafka, a model, the daemon, 12,500 real events.
    """
    with _extra("train", "the demo"):
        from detector.local.demo import run_demo
    from detector.service.signals import Stop, stop_on_signals

    stop = Stop()
    settings = _settings(context)
    with stop_on_signals(stop):
        complete = run_demo(settings, keep=keep, stopped=lambda: bool(stop))
    if not complete:
        raise DetectorError("not every event was accounted for")


@app.command()
def broker(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="port to serve on; 0 picks a free one", min=0, max=65535)] = 0,
    data_dir: Annotated[Path | None, typer.Option(help="keep the data here; else it is removed at the end")] = None,
    create_topics: Annotated[
        bool,
        typer.Option("--create-topics", help="create the three topics of the settings, 4 partitions each"),
    ] = False,
) -> None:
    """Run the embedded Apache Kafka alone, in the foreground."""
    from detector.local.broker import serve

    serve(_settings(context).kafka, port, data_dir, create=create_topics, announce=typer.echo)


ModelPath = Annotated[Path | None, typer.Argument(help="a model folder; the settings' when left out")]


@model_app.command("show")
def model_show(context: typer.Context, path: ModelPath = None) -> None:
    """Print the manifest for people."""
    from detector.model.describe import describe
    from detector.model.folder import load_model

    for line in describe(load_model(path or _settings(context).model.path).manifest):
        typer.echo(line)


@model_app.command("verify")
def model_verify(context: typer.Context, path: ModelPath = None) -> None:
    """Check hashes, schema and the golden batch."""
    from detector.model.describe import verify

    failed = False
    for ok, line in verify(path or _settings(context).model.path):
        typer.echo(f"{'ok  ' if ok else 'FAIL'}  {line}")
        failed |= not ok
    if failed:
        raise typer.Exit(ModelError.exit_code)


Reason = Annotated[str | None, typer.Option(help="only those with this reason")]
Since = Annotated[
    str | None,
    typer.Option(help="only those written since: 2026-11-21T10:00:00Z, or an age: 30m, 2h, 7d"),
]


@dead_letter_app.command("show")
def dead_letter_show(
    context: typer.Context,
    reason: Reason = None,
    since: Since = None,
    examples: Annotated[int, typer.Option(help="examples of each reason", min=0)] = 3,
) -> None:
    """Print what is in the dead-letter topic, by reason."""
    from detector.dead_letters.selection import parse_selection
    from detector.dead_letters.show import lines, summarize
    from detector.dead_letters.tables import tables
    from detector.service.signals import Stop, stop_on_signals

    selection = parse_selection(reason, since)
    kafka = _settings(context).kafka
    stop, console = Stop(), Console()
    with stop_on_signals(stop):
        summaries = summarize(kafka, selection, examples, lambda: bool(stop))
    if stop:
        typer.echo("stopped by a signal: this is what was read until then")
    if not summaries:
        meant = "no dead letters" if selection.everything else "no such dead letters"
        typer.echo(f"{meant} in {kafka.dead_letter_topic}")
    elif console.is_terminal:
        for table in tables(kafka.dead_letter_topic, summaries):
            console.print(table)
    else:
        for line in lines(summaries):
            typer.echo(line)


@dead_letter_app.command("replay")
def dead_letter_replay(
    context: typer.Context,
    reason: Reason = None,
    since: Since = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be sent, and send nothing")] = False,
    limit: Annotated[int | None, typer.Option(help="send this many at most", min=0)] = None,
    max_attempts: Annotated[int, typer.Option(help="leave out what was sent back this often", min=1)] = 3,
    wait: Annotated[
        float, typer.Option(help="wait this many seconds for the daemon, and tell how many went through", min=0)
    ] = 0,
) -> None:
    """Send dead letters back to the events topic, as they first came."""
    from detector.dead_letters.replay import Rules, open_replay
    from detector.dead_letters.selection import parse_selection
    from detector.service.signals import Stop, stop_on_signals

    rules = Rules(parse_selection(reason, since), max_attempts, limit)
    kafka = _settings(context).kafka
    stop = Stop()
    with stop_on_signals(stop), open_replay(kafka, rules, stop.wait) as run:
        if dry_run:
            for line in run.rehearse():
                typer.echo(line)
        else:
            with _progress("dead letters", run.total) as on_record:
                run.send(on_record)
        typer.echo(run.tally.line(rules, kafka.events_topic, rehearsed=dry_run, stopped=bool(stop)))
        if wait and run.tally.arrived.total and not stop:
            outcome = run.follow(wait)
            typer.echo(outcome.line())
            if outcome.unread and not stop:
                raise DetectorError(
                    f"group {kafka.group_id} has not committed past all of them within {wait:g} s: is the daemon "
                    "running?"
                )


@contextmanager
def _extra(extra: str, needed_for: str) -> Iterator[None]:
    """Around imports of what an extra brings."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(extra, needed_for) from error


@contextmanager
def _progress(unit: str, total: int | None) -> Iterator[Any]:
    """A progress bar on a terminal, nothing elsewhere; gives the function that moves it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(unit, total=total)
        yield lambda number: bar.update(task, completed=number)
