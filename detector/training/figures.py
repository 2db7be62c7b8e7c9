"""The figures of a training report: PNG for the loss plot, SVG for the HTML page."""

import io
from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from detector.features.beth import BETH
from detector.model.network import Float64s
from detector.training.data import Split
from detector.training.fit import Epoch

_BENIGN, _SUSPICIOUS, _NEUTRAL = "#4c78a8", "#e45756", "#72767d"
_SIZE = (6.4, 3.8)
_BINS = 50
_LONG_NUMBER = 1_000_000
"""Above this a feature's values are too long for four tick labels."""
_DARK = 0.5
"""Above this share a cell of the confusion matrix is too dark for black text."""
_LABELS = ["benign", "suspicious"]
_Scored = Mapping[str, tuple[Float64s, Split]]
"""Scores and rows by split."""


def loss_plot(epochs: Sequence[Epoch]) -> bytes:
    """The PNG "Training Loss Over Epochs"."""
    figure = Figure(figsize=(8, 4.5), layout="tight")
    _draw_loss(figure.add_subplot(), epochs)
    image = io.BytesIO()
    FigureCanvasAgg(figure).print_png(image)  # type: ignore[no-untyped-call]
    return image.getvalue()


def report_figures(
    epochs: Sequence[Epoch], kept: Epoch, scored: _Scored, threshold: float, importance: Mapping[str, float]
) -> dict[str, str]:
    """Every figure of the report.

    Args:
        epochs: all epochs of the training.
        kept: the epoch whose weights the model has.
        scored: scores and rows by split; `train`, `validation` and `test`.
        threshold: a row is suspicious if its score is at or above it.
        importance: permutation importance by feature.

    Returns:
        SVG text by title.
    """
    scores, test = scored["test"]
    held_out = {name: pair for name, pair in scored.items() if name != "train"}
    return {
        "Training loss over epochs": _svg(lambda axes: _draw_loss(axes, epochs)),
        "Validation average precision over epochs": _svg(lambda axes: _draw_validation(axes, epochs, kept)),
        "ROC curve, validation and test split": _svg(lambda axes: _draw_roc(axes, held_out)),
        "Precision and recall, validation and test split": _svg(
            lambda axes: _draw_precision_recall(axes, held_out, threshold)
        ),
        "Distribution of scores by label, test split": _svg(lambda axes: _draw_scores(axes, scores, test, threshold)),
        "Confusion matrix at the threshold, test split": _svg(
            lambda axes: _draw_confusion(axes, scores, test, threshold)
        ),
        "Calibration, test split": _svg(lambda axes: _draw_calibration(axes, scores, test)),
        "Permutation importance, test split": _svg(lambda axes: _draw_importance(axes, importance)),
        "Distribution of features, training and test split": _features_svg(scored["train"][1], test),
    }


def _draw_loss(axes: Axes, epochs: Sequence[Epoch]) -> None:
    numbers = [epoch.number for epoch in epochs]
    axes.plot(numbers, [epoch.loss for epoch in epochs], label="training", color=_BENIGN)
    axes.plot(numbers, [epoch.validation_loss for epoch in epochs], label="validation", linestyle="--", color="#f58518")
    axes.set(title="Training Loss Over Epochs", xlabel="Epoch", ylabel="Loss (weighted binary cross-entropy)")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()


def _draw_validation(axes: Axes, epochs: Sequence[Epoch], kept: Epoch) -> None:
    numbers = [epoch.number for epoch in epochs]
    axes.plot(numbers, [epoch.validation_average_precision for epoch in epochs], color=_BENIGN)
    axes.plot(
        kept.number, kept.validation_average_precision, "o", color=_SUSPICIOUS, label=f"kept epoch: {kept.number}"
    )
    axes.set(xlabel="Epoch", ylabel="Average precision")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def _draw_roc(axes: Axes, scored: _Scored) -> None:
    for name, (scores, split) in scored.items():
        false_positives, true_positives, _ = roc_curve(split.labels, scores)
        axes.plot(false_positives, true_positives, label=name)
    axes.plot([0, 1], [0, 1], color=_NEUTRAL, linestyle=":", label="random scores")
    axes.set(xlabel="False positive rate", ylabel="True positive rate (recall)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def _draw_precision_recall(axes: Axes, scored: _Scored, threshold: float) -> None:
    for name, (scores, split) in scored.items():
        precision, recall, thresholds = precision_recall_curve(split.labels, scores)
        (line,) = axes.plot(recall, precision, label=name)
        at = min(int(np.searchsorted(thresholds, threshold)), len(precision) - 1)
        axes.plot(recall[at], precision[at], "o", color=line.get_color())
    axes.set(xlabel="Recall", ylabel="Precision", ylim=(0, 1.05))
    axes.grid(alpha=0.3)
    axes.legend(title=f"dot: at threshold {threshold:.3g}", loc="lower left")


def _draw_scores(axes: Axes, scores: Float64s, split: Split, threshold: float) -> None:
    edges = np.linspace(0, 1, _BINS + 1).tolist()
    for label, name, color in ((0, "benign", _BENIGN), (1, "suspicious", _SUSPICIOUS)):
        axes.hist(scores[split.labels == label], bins=edges, label=name, color=color, alpha=0.6, log=True)
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {threshold:.3g}")
    axes.set(xlabel="Score", ylabel="Rows (log scale)")
    axes.legend(loc="upper center")


def _draw_confusion(axes: Axes, scores: Float64s, split: Split, threshold: float) -> None:
    predicted, positive = scores >= threshold, split.labels == 1
    counts = np.array(
        [[(predicted[positive == actual] == alert).sum() for alert in (False, True)] for actual in (False, True)]
    )
    axes.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = count / counts[row].sum()
        color = "white" if share > _DARK else "black"
        axes.text(column, row, f"{count:,}\n{share:.2%}", ha="center", va="center", color=color)
    axes.set_xticks([0, 1], _LABELS)
    axes.set_yticks([0, 1], _LABELS)
    axes.set(xlabel="Predicted", ylabel="Label")


def _draw_calibration(axes: Axes, scores: Float64s, split: Split) -> None:
    share, mean = calibration_curve(split.labels, scores, n_bins=10)
    axes.plot([0, 1], [0, 1], color=_NEUTRAL, linestyle=":", label="perfect calibration")
    axes.plot(mean, share, "o-", color=_BENIGN, label="this model")
    axes.set(xlabel="Mean score in the bin", ylabel="Share of suspicious rows in the bin", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")


def _draw_importance(axes: Axes, importance: Mapping[str, float]) -> None:
    ranked = sorted(importance.items(), key=lambda item: item[1])
    axes.barh([name for name, _ in ranked], [value for _, value in ranked], color=_BENIGN)
    axes.set(xlabel="Drop in average precision when the feature is shuffled")
    axes.grid(alpha=0.3, axis="x")


def _features_svg(train: Split, test: Split) -> str:
    figure = Figure(figsize=(12.8, 6), layout="tight")
    for column, name in enumerate(BETH.names):
        axes = figure.add_subplot(2, 4, column + 1)
        values = [split.features[:, column] for split in (train, test)]
        edges = np.linspace(min(map(np.min, values)), max(map(np.max, values)) + 1, _BINS + 1)
        for column_values, label, color in zip(values, ("training", "test"), (_BENIGN, _SUSPICIOUS), strict=True):
            shares = np.histogram(column_values, edges)[0] / len(column_values)
            axes.stairs(shares, edges, label=label, color=color, fill=True, alpha=0.5)
        axes.set(title=name, yscale="log", ylabel="Share of rows (log scale)" if column % 4 == 0 else "")
        axes.xaxis.set_major_locator(MaxNLocator(2 if edges[0] > _LONG_NUMBER else 4))
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        if column == 0:
            axes.legend()
    return _svg_text(figure)


def _svg(draw: Callable[[Axes], None]) -> str:
    figure = Figure(figsize=_SIZE, layout="tight")
    axes = figure.add_subplot()
    draw(axes)
    axes.set_title("")  # the page shows the title
    return _svg_text(figure)


def _svg_text(figure: Figure) -> str:
    image = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "detector", "font.family": "sans-serif"}):
        FigureCanvasSVG(figure).print_svg(image, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return image.getvalue().decode()
