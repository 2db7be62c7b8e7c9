"""Training progress on a terminal and in a file."""

import io

from rich.console import Console

from detector.training.fit import Epoch
from detector.training.progress import epoch_progress


def _shown(*, on_terminal: bool) -> str:
    output = io.StringIO()
    with epoch_progress(Console(file=output, force_terminal=on_terminal, width=80), every=2) as on_epoch:
        for number in (1, 2):
            on_epoch(Epoch(number, 2, 0.5, 0.25, 0.75))
    return output.getvalue()


def test_terminal_shows_a_bar():
    """Otherwise users could see neither how long the training will take nor whether the model improves."""
    shown = _shown(on_terminal=True)

    assert "2/2" in shown
    assert "\r" in shown
    assert "loss 0.5000, validation 0.2500, AP 0.7500" in shown


def test_file_gets_a_line_for_every_nth_epoch():
    """Otherwise the control characters of a progress bar would make log files unreadable."""
    assert _shown(on_terminal=False) == (
        "epoch   2/2  training loss 0.500000  validation loss 0.250000  validation average precision 0.7500\n"
    )
