"""The figures of a training run, as PNG and SVG."""

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

from detector.model.network import Float64s
from detector.records import FEATURES
from detector.training.data import Split
from detector.training.fit import Epoch

_BENIGN, _SUSPICIOUS, _NEUTRAL = "#4c78a8", "#e45756", "#72767d"
_SIZE = (6.4, 3.8)
_BINS = 50
_DARK = 0.5
"""The share from which a cell of the confusion matrix is too dark for black text."""
_Judged = Mapping[str, tuple[Float64s, Split]]
"""Scores and rows by split."""


def loss_plot(epochs: Sequence[Epoch]) -> bytes:
    """The PNG "Training Loss Over Epochs"."""
    figure = Figure(figsize=(8, 4.5), layout="tight")
    _draw_loss(figure.add_subplot(), epochs)
    image = io.BytesIO()
    FigureCanvasAgg(figure).print_png(image)  # type: ignore[no-untyped-call]
    return image.getvalue()


def report_figures(
    epochs: Sequence[Epoch], kept: Epoch, judged: _Judged, threshold: float, importance: Mapping[str, float]
) -> dict[str, str]:
    """Every figure of the report.

    Args:
        epochs: the way of the training.
        kept: the epoch that became the model.
        judged: scores and rows by split; `train`, `validation` and `test`.
        threshold: from which a score is suspicious.
        importance: by feature.

    Returns:
        SVG text by title.
    """
    scores, test = judged["test"]
    held_out = {name: pair for name, pair in judged.items() if name != "train"}
    return {
        "Training loss over epochs": _svg(lambda axes: _draw_loss(axes, epochs)),
        "Validation average precision over epochs": _svg(lambda axes: _draw_validation(axes, epochs, kept)),
        "Receiver operating characteristic": _svg(lambda axes: _draw_roc(axes, held_out)),
        "Precision and recall": _svg(lambda axes: _draw_precision_recall(axes, held_out, threshold)),
        "Scores by label, test split": _svg(lambda axes: _draw_scores(axes, scores, test, threshold)),
        "Confusion at the threshold, test split": _svg(lambda axes: _draw_confusion(axes, scores, test, threshold)),
        "Calibration, test split": _svg(lambda axes: _draw_calibration(axes, scores, test)),
        "Permutation importance, test split": _svg(lambda axes: _draw_importance(axes, importance)),
        "Features, training against test": _features_svg(judged["train"][1], test),
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
        kept.number, kept.validation_average_precision, "o", color=_SUSPICIOUS, label=f"kept: epoch {kept.number}"
    )
    axes.set(xlabel="Epoch", ylabel="Average precision")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def _draw_roc(axes: Axes, judged: _Judged) -> None:
    for name, (scores, split) in judged.items():
        false_positives, true_positives, _ = roc_curve(split.labels, scores)
        axes.plot(false_positives, true_positives, label=name)
    axes.plot([0, 1], [0, 1], color=_NEUTRAL, linestyle=":", label="chance")
    axes.set(xlabel="Benign rows that alert, share", ylabel="Suspicious rows that alert, share")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def _draw_precision_recall(axes: Axes, judged: _Judged, threshold: float) -> None:
    for name, (scores, split) in judged.items():
        precision, recall, thresholds = precision_recall_curve(split.labels, scores)
        (line,) = axes.plot(recall, precision, label=name)
        at = min(int(np.searchsorted(thresholds, threshold)), len(precision) - 1)
        axes.plot(recall[at], precision[at], "o", color=line.get_color())
    axes.set(xlabel="Recall", ylabel="Precision", ylim=(0, 1.05))
    axes.grid(alpha=0.3)
    axes.legend(title=f"dot: threshold {threshold:.3g}", loc="lower left")


def _draw_scores(axes: Axes, scores: Float64s, split: Split, threshold: float) -> None:
    edges = np.linspace(0, 1, _BINS + 1).tolist()
    for label, name, color in ((0, "benign", _BENIGN), (1, "suspicious", _SUSPICIOUS)):
        axes.hist(scores[split.labels == label], bins=edges, label=name, color=color, alpha=0.6, log=True)
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {threshold:.3g}")
    axes.set(xlabel="Score", ylabel="Rows (log)")
    axes.legend(loc="upper center")


def _draw_confusion(axes: Axes, scores: Float64s, split: Split, threshold: float) -> None:
    verdicts, positive = scores >= threshold, split.labels == 1
    counts = np.array([[(verdicts[positive == actual] == said).sum() for said in (False, True)] for actual in (0, 1)])
    axes.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = count / counts[row].sum()
        color = "white" if share > _DARK else "black"
        axes.text(column, row, f"{count:,}\n{share:.2%}", ha="center", va="center", color=color)
    axes.set_xticks([0, 1], ["benign", "suspicious"])
    axes.set_yticks([0, 1], ["benign", "suspicious"])
    axes.set(xlabel="Verdict", ylabel="Label")


def _draw_calibration(axes: Axes, scores: Float64s, split: Split) -> None:
    share, mean = calibration_curve(split.labels, scores, n_bins=10)
    axes.plot([0, 1], [0, 1], color=_NEUTRAL, linestyle=":", label="a score that is a probability")
    axes.plot(mean, share, "o-", color=_BENIGN, label="this model")
    axes.set(xlabel="Mean score of a bin", ylabel="Share of suspicious rows in it", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")


def _draw_importance(axes: Axes, importance: Mapping[str, float]) -> None:
    ranked = sorted(importance.items(), key=lambda item: item[1])
    axes.barh([name for name, _ in ranked], [value for _, value in ranked], color=_BENIGN)
    axes.set(xlabel="Average precision lost when the feature is shuffled")
    axes.grid(alpha=0.3, axis="x")


def _features_svg(train: Split, test: Split) -> str:
    figure = Figure(figsize=(12.8, 6), layout="tight")
    for column, name in enumerate(FEATURES):
        axes = figure.add_subplot(2, 4, column + 1)
        values = [split.features[:, column] for split in (train, test)]
        edges = np.linspace(min(map(np.min, values)), max(map(np.max, values)) + 1, _BINS + 1)
        for rows, label, color in zip(values, ("training", "test"), (_BENIGN, _SUSPICIOUS), strict=True):
            shares = np.histogram(rows, edges)[0] / len(rows)
            axes.stairs(shares, edges, label=label, color=color, fill=True, alpha=0.5)
        axes.set(title=name, yscale="log", ylabel="Share of rows (log)" if column % 4 == 0 else "")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if column == 0:
            axes.legend()
    return _text(figure)


def _svg(draw: Callable[[Axes], None]) -> str:
    figure = Figure(figsize=_SIZE, layout="tight")
    axes = figure.add_subplot()
    draw(axes)
    axes.set_title("")  # the page has it
    return _text(figure)


def _text(figure: Figure) -> str:
    image = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "detector", "font.family": "sans-serif"}):
        FigureCanvasSVG(figure).print_svg(image, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return image.getvalue().decode()
