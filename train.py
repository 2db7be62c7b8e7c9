"""Trains a model on labelled BETH rows; `python train.py --help` describes the options."""

from typing import TYPE_CHECKING

from detector.__main__ import run_command

if TYPE_CHECKING:
    from typer import Typer


def _load_app() -> "Typer":
    from detector.training.command import app  # noqa: PLC0415 - needs an optional extra

    return app


if __name__ == "__main__":
    run_command(_load_app, extra="train")
