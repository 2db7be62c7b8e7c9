"""Trains the model from BETH CSV files; `python train.py --help` says how."""

from typing import TYPE_CHECKING

from detector.__main__ import run_command

if TYPE_CHECKING:
    from typer import Typer


def _load() -> "Typer":
    from detector.training.command import app  # noqa: PLC0415 - an optional extra

    return app


if __name__ == "__main__":
    run_command(_load, extra="train")
