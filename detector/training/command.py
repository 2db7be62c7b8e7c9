"""The command line of `train.py`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from detector.service.signals import Stop, stop_on_signals
from detector.training.data import Data, load_data
from detector.training.evaluation import measures_table
from detector.training.gate import Targets, missed, worse_than_current
from detector.training.progress import epoch_progress
from detector.training.recipes import RECIPES, SEED, Recipe
from detector.training.threshold import RULES, check_rule
from detector.training.train import LOSS_PLOT, REPORT_HTML, Trained, publish, train

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help="folder with the three labelled BETH splits, or one CSV to split")],
    output: Annotated[Path, typer.Option(help="folder of all model versions")] = Path("models"),
    recipe: Annotated[str, typer.Option(help=f"how to train: {' or '.join(RECIPES)}")] = "default",
    seed: Annotated[int, typer.Option(help="of the initial weights, the row order and the split", min=0)] = 0,
    epochs: Annotated[int | None, typer.Option(help="at most; the recipe's when not given", min=1)] = None,
    threshold: Annotated[str | None, typer.Option(help=f"rule on the validation split: {RULES}")] = None,
    target_accuracy: Annotated[
        float | None, typer.Option(help="accuracy on the validation split that is asked for", min=0, max=1)
    ] = None,
    target_average_precision: Annotated[
        float | None, typer.Option(help="average precision on the validation split that is asked for", min=0, max=1)
    ] = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="make current what is worse than the current model, too")
    ] = False,
) -> None:
    """Train a model on BETH rows and write it, with a report, as a version below the output folder.

    It becomes the current one when it meets the targets and is not worse than the current one on the same rows.
    """
    chosen = _recipe(recipe, epochs, threshold)
    loaded = load_data(data, seed)
    _say(_data_lines(loaded))
    stop = Stop()
    with stop_on_signals(stop), epoch_progress(Console(), chosen.print_every) as on_epoch:
        trained = train(chosen, loaded, output, seed, on_epoch, stopped=lambda: bool(stop), with_report=True)
    _say(_result_lines(trained, loaded))
    reasons = list(missed(trained.manifest, Targets(target_accuracy, target_average_precision)))
    if not force:
        reasons += worse_than_current(trained.manifest, output)
    if reasons:
        _say([*reasons, "the model is kept for inspection and not made current"])
        raise typer.Exit(1)
    _say([f"current  {publish(trained)}"])


def _recipe(name: str, epochs: int | None, threshold: str | None) -> Recipe:
    if name not in RECIPES:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(RECIPES)}", param_hint="--recipe")
    recipe = RECIPES[name]
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    if threshold is not None:
        check_rule(threshold)
        recipe = replace(recipe, threshold=threshold)
    return recipe


def _data_lines(data: Data) -> Iterable[str]:
    for file in data.files:
        yield f"{file.name}  sha256 {file.sha256}  {file.published_as or 'not one of the published BETH files'}"
    for name, split in data.splits().items():
        yield f"{name:<10}  {len(split):>8} rows  {int(split.labels.sum()):>7} suspicious"


def _result_lines(trained: Trained, data: Data) -> Iterable[str]:
    fitted, threshold = trained.fitted, trained.threshold
    if fitted.interrupted:
        yield f"stopped by Ctrl-C after epoch {len(fitted.epochs)}; the best so far is kept"
    yield f"kept epoch {fitted.kept.number} of {len(fitted.epochs)}"
    yield (
        f"threshold {threshold.value:.6g} by {threshold.rule}: on the validation split precision "
        f"{threshold.precision:.4f}, recall {threshold.recall:.4f}, F1 {threshold.f1:.4f}, "
        f"{threshold.alerts_per_million:,.0f} alerts per million events"
    )
    if trained.manifest.training["recipe"]["name"] == SEED.name:
        from detector.training.notebook import accuracies  # noqa: PLC0415 - torchmetrics takes 2 s

        yield from (f"{name} accuracy: {value:.4f}" for name, value in accuracies(fitted.network, data).items())
    yield from measures_table(trained.manifest.metrics)
    yield "on the test split:"
    yield from measures_table(
        {"this model": trained.manifest.metrics["test"]}
        | {name: splits["test"] for name, splits in trained.baselines.items()}
    )
    yield f"model   {trained.path}"
    yield f"plot    {trained.path / LOSS_PLOT}"
    yield f"report  {trained.path / REPORT_HTML}"


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)
