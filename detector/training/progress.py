"""How far a training run is: a bar on a terminal, a line per epoch elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from detector.training.fit import Epoch

_BAR_COLUMNS = 12


@contextmanager
def epoch_progress(console: Console, every: int) -> Iterator[Callable[[Epoch], None]]:
    """Yields what is to be called after each epoch.

    Args:
        console: where to.
        every: lines appear for each so-manieth epoch.
    """
    if not console.is_terminal:
        yield lambda epoch: _line(console, epoch, every)
        return
    columns = TextColumn("epoch"), MofNCompleteColumn(), BarColumn(_BAR_COLUMNS), TextColumn("{task.description}")
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("", total=None)
        yield lambda epoch: progress.update(task, completed=epoch.number, total=epoch.of, description=_short(epoch))


def _line(console: Console, epoch: Epoch, every: int) -> None:
    if epoch.number % every == 0:
        console.print(f"epoch {epoch.number:>3}/{epoch.of}  {_figures(epoch)}", highlight=False, soft_wrap=True)


def _short(epoch: Epoch) -> str:
    """For a bar that has to fit into 80 columns."""
    return f"loss {epoch.loss:.4f}, validation {epoch.validation_loss:.4f}, AP {epoch.validation_average_precision:.4f}"


def _figures(epoch: Epoch) -> str:
    return (
        f"loss {epoch.loss:.6f}  validation loss {epoch.validation_loss:.6f}  "
        f"average precision {epoch.validation_average_precision:.4f}"
    )
