"""The command line of `train.py`."""

from pathlib import Path
from typing import Annotated

import typer

from detector.training.data import load_data
from detector.training.evaluation import measures_table
from detector.training.fit import Epoch
from detector.training.recipes import RECIPES
from detector.training.train import LOSS_PLOT, publish, train

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help="folder with the three labelled BETH splits, or one CSV to split")],
    output: Annotated[Path, typer.Option(help="folder of all model versions")] = Path("models"),
    recipe: Annotated[str, typer.Option(help=f"how to train: {' or '.join(RECIPES)}")] = "default",
    seed: Annotated[int, typer.Option(help="of the initial weights, the row order and the split", min=0)] = 0,
    target_accuracy: Annotated[
        float | None,
        typer.Option(help="accuracy on the validation split below which the model is not made current", min=0, max=1),
    ] = None,
) -> None:
    """Train a model on BETH rows and write it as a version below the output folder."""
    if recipe not in RECIPES:
        raise typer.BadParameter(f"{recipe!r} is not one of {', '.join(RECIPES)}", param_hint="--recipe")
    chosen = RECIPES[recipe]

    def report(epoch: Epoch) -> None:
        if epoch.number % chosen.print_every == 0:
            typer.echo(
                f"epoch {epoch.number:>3}/{epoch.of}  loss {epoch.loss:.6f}  "
                f"validation loss {epoch.validation_loss:.6f}"
            )

    loaded = load_data(data, seed)
    for name, split in loaded.splits().items():
        typer.echo(f"{name:<10}  {len(split):>8} rows  {int(split.labels.sum()):>7} suspicious")
    trained = train(chosen, loaded, output, seed, report)
    for line in measures_table(trained.manifest.metrics):
        typer.echo(line)
    typer.echo(f"model  {trained.path}")
    typer.echo(f"plot   {trained.path / LOSS_PLOT}")
    accuracy = trained.manifest.metrics["validation"]["accuracy"]
    if target_accuracy is not None and accuracy < target_accuracy:
        typer.echo(
            f"missed the target: validation accuracy {accuracy:.4f} is below {target_accuracy:g}; "
            "the model is kept for inspection and not made current"
        )
        raise typer.Exit(1)
    typer.echo(f"current  {publish(trained)}")
