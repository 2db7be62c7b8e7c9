"""Training progress: a bar on a terminal, a line per epoch elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from detector.training.fit import Epoch

_BAR_WIDTH = 12


@contextmanager
def epoch_progress(console: Console, every: int) -> Iterator[Callable[[Epoch], None]]:
    """Show progress on the console; yields the function to call after each epoch.

    Args:
        console: where to print.
        every: without a terminal, print a line for every nth epoch.
    """
    if not console.is_terminal:
        yield lambda epoch: _print_line(console, epoch, every)
        return
    columns = TextColumn("epoch"), MofNCompleteColumn(), BarColumn(_BAR_WIDTH), TextColumn("{task.description}")
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("", total=None)
        yield lambda epoch: progress.update(
            task, completed=epoch.number, total=epoch.total, description=_short_measures(epoch)
        )


def _print_line(console: Console, epoch: Epoch, every: int) -> None:
    if epoch.number % every == 0:
        line = f"epoch {epoch.number:>3}/{epoch.total}  {_measures(epoch)}"
        console.print(line, highlight=False, soft_wrap=True)


def _short_measures(epoch: Epoch) -> str:
    """For a bar in a terminal of 80 columns; AP is average precision."""
    return f"loss {epoch.loss:.4f}, validation {epoch.validation_loss:.4f}, AP {epoch.validation_average_precision:.4f}"


def _measures(epoch: Epoch) -> str:
    return (
        f"training loss {epoch.loss:.6f}  validation loss {epoch.validation_loss:.6f}  "
        f"validation average precision {epoch.validation_average_precision:.4f}"
    )
