"""`train`, `replay` and `score`: the verbs that read files."""

from pathlib import Path
from typing import Annotated

import typer

from detector.cli.common import needs_extra, progress_bar, settings_of
from detector.errors import UsageError, missing_extra

EventFiles = Annotated[
    list[Path],
    typer.Argument(
        help="CSV files in the format of the BETH dataset, 16 columns (original) or 8 (preprocessed), or JSON files "
        "with one event on each line; .gz and .zst are read as well",
        metavar="FILE...",
    ),
]


def train(context: typer.Context) -> None:
    """Train a model on labelled BETH rows; the same as train.py. Has its own --help."""
    if any(context.obj):
        raise UsageError("--config and --set do not apply to `train`, which reads no settings: leave them out")
    with needs_extra("train", "training"):
        from detector.training.command import app

        app(context.args, prog_name="detector train")  # inside the block: it imports more packages when it needs them


def replay(
    context: typer.Context,
    files: EventFiles,
    rate: Annotated[float | None, typer.Option(help="send this many events per second", min=0.001)] = None,
    speed: Annotated[
        float | None,
        typer.Option(help="send events at this multiple of the recorded pace; 1 is real time", min=0.001),
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="after the last file continue with the first, until Ctrl-C")
    ] = False,
    limit: Annotated[int | None, typer.Option(help="send at most this many events", min=0)] = None,
) -> None:
    """Send the events of files to the events topic.

    This is for trials and tests. All files are checked before the first event is sent. Without --rate or --speed,
    events are sent as fast as possible.
    """
    from detector.local.replay import Pace
    from detector.local.replay import replay as produce
    from detector.process.signals import StopRequest, stop_on_signals

    if rate and speed:
        raise UsageError("--rate and --speed cannot be combined: give one of them")
    settings = settings_of(context)
    stop = StopRequest()
    with stop_on_signals(stop), progress_bar("events", None) as on_event:
        done = produce(
            settings.kafka,
            files,
            pace=Pace(rate, speed),
            loop=loop,
            limit=limit,
            on_event=on_event,
            notify=lambda line: typer.echo(line, err=True),
            stopped=lambda: bool(stop),
        )
    per_second = done.events / max(done.seconds, 1e-9)
    typer.echo(
        f"replayed {done.events} events to {settings.kafka.events_topic} in {done.seconds:.1f} s, {per_second:,.0f}/s"
    )


def score(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            help="CSV files, or JSON files with one event on each line; .gz and .zst are read as well, and - is "
            "standard input",
            metavar="FILE...",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="CSV file to write to, with the columns row, score and suspicious")
    ] = None,
) -> None:
    """Score the events in files, without Kafka.

    The scores are the same as the service's. If the events have labels, the command also prints precision, recall
    and other measures. The exit code is 1 if no event could be scored.
    """
    from detector.service.offline import reasons, score_files, write_scores
    from detector.service.scoring import Scorer

    model, config = settings_of(context).model, context.obj[0]
    scorer = Scorer.load(model)
    others = [*model.path.glob("*"), *([config] if config else [])]
    result = write_scores(files, scorer, output, others) if output else score_files(files, scorer, None)
    typer.echo(f"rows {result.rows}, suspicious {result.suspicious}, threshold {scorer.threshold:g}")
    for reason in reasons(result.not_scored):
        typer.echo(f"not scored: {reason}")
    labels, scores = result.labelled()
    if len(labels):
        try:
            from detector.training.evaluation import evaluate, measures_table
        except ModuleNotFoundError:  # the scores are complete without the measures
            typer.echo(f"no quality measures: {missing_extra('train', 'comparing scores with labels')}", err=True)
            return
        for line in measures_table({f"{len(labels)} labelled": evaluate(scores, labels, scorer.threshold)}):
            typer.echo(line)
