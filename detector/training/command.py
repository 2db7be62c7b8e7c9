"""The command line of `train.py` and `detector train`."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from detector.errors import UsageError
from detector.model.folder import CURRENT
from detector.output_file import refuse_inputs
from detector.process.signals import StopRequest, stop_on_signals
from detector.training.data import Dataset, load_data
from detector.training.recipes import RECIPES, Recipe
from detector.training.threshold import RULES, check_rule

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA...",
            help="folder with the labelled training, validation and test files of BETH; or files of labelled events, "
            "which are split 60/20/20: CSV, or JSON with one event on each line, also .gz and .zst",
        ),
    ],
    output: Annotated[Path, typer.Option(help="directory in which each model version gets a folder")] = Path("models"),
    recipe: Annotated[
        str, typer.Option(help=f"training recipe: {', or '.join(RECIPES)} (only to reproduce the original notebooks)")
    ] = "default",
    label: Annotated[
        str | None,
        typer.Option(help="field that has the label, 0 or 1; by default sus_label or else sus", metavar="NAME"),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="random seed; the same seed, data and library versions train the same model", min=0)
    ] = 0,
    epochs: Annotated[int | None, typer.Option(help="largest number of epochs; by default the recipe's", min=1)] = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            help=f"how to choose the threshold on the validation split: {RULES}; by default the recipe's rule"
        ),
    ] = None,
    target_accuracy: Annotated[
        float | None, typer.Option(help="lowest acceptable accuracy on the validation split", min=0, max=1)
    ] = None,
    target_average_precision: Annotated[
        float | None, typer.Option(help="lowest acceptable average precision on the validation split", min=0, max=1)
    ] = None,
    *,
    force: Annotated[
        bool,
        typer.Option("--force", help="make the new model current even if it misses the floor"),
    ] = False,
) -> None:
    """Train a model on labelled events, and write it with a report as a new version.

    The new version becomes the current model if it meets the targets (--target-...) and the floor: on the validation
    split at least 10 rows of each label, at most 10 % alerts, an average precision above twice the share of suspicious
    rows and above that of the rule userId >= 1000, and not worse than the current model on these rows. Otherwise the
    current model stays, the new version is kept for inspection, and the exit code is 1.
    """
    chosen = _recipe(recipe, epochs, threshold)
    _check_output(output, data)
    loaded = load_data(*data, seed=seed, label=label)
    _print(_data_lines(loaded))
    # Only now: torch and scikit-learn take seconds to import, and neither --help nor an error in the data needs them.
    from detector.training.gate import Targets, missed_floor, missed_targets  # noqa: PLC0415
    from detector.training.progress import epoch_progress  # noqa: PLC0415
    from detector.training.summary import result_lines  # noqa: PLC0415
    from detector.training.train import publish, train  # noqa: PLC0415

    stop = StopRequest()
    with stop_on_signals(stop), epoch_progress(Console(), chosen.print_every) as on_epoch:
        trained = train(chosen, loaded, output, seed, on_epoch, stopped=lambda: bool(stop), with_report=True)
    _print(result_lines(trained, loaded))
    missed = list(missed_targets(trained.manifest, Targets(target_accuracy, target_average_precision)))
    floor = list(missed_floor(trained.manifest, loaded.validation, output))
    _print([*missed, *floor])
    if missed or (floor and not force):
        hint = "" if missed else "; use --force to make the new model current anyway"
        _print([f"The new model is kept for inspection; the current model is unchanged{hint}"])
        raise typer.Exit(1)
    forced = " (--force: although it misses the floor)" if floor else ""
    _print([f"The new model is now current: {publish(trained)}{forced}"])


def _check_output(output: Path, data: Sequence[Path]) -> None:
    """Before the training, so that it is not in vain; the link `current` is replaced, whatever is there."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: is not a folder; choose another --output")
    for written in (output, output / CURRENT):
        refuse_inputs(written, data)


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


def _data_lines(data: Dataset) -> Iterable[str]:
    for file in data.files:
        yield f"{file.name}: {file.published_as or 'not a published BETH file'}, sha256 {file.sha256}"
        if file.unlabelled:
            yield f"{file.name}: {file.unlabelled} rows without a label are left out"
    for name, split in data.splits().items():
        yield f"{name:<10}  {len(split):>8} rows  {int(split.labels.sum()):>7} suspicious"


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)
