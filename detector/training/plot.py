"""The plot of a training run."""

import io
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from detector.training.fit import Epoch


def loss_plot(epochs: Sequence[Epoch]) -> bytes:
    """The PNG "Training Loss Over Epochs"."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    numbers = [epoch.number for epoch in epochs]
    axes.plot(numbers, [epoch.loss for epoch in epochs], label="training")
    axes.plot(numbers, [epoch.validation_loss for epoch in epochs], label="validation", linestyle="--")
    axes.set(title="Training Loss Over Epochs", xlabel="Epoch", ylabel="Loss (weighted binary cross-entropy)")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    image = io.BytesIO()
    FigureCanvasAgg(figure).print_png(image)  # type: ignore[no-untyped-call]
    return image.getvalue()
