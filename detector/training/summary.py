"""What a person reads at the end of a training run."""

from collections.abc import Iterable

from detector.training.data import Dataset
from detector.training.evaluation import measures_table
from detector.training.recipes import SEED
from detector.training.train import LOSS_PLOT, REPORT_HTML, TrainedModel


def result_lines(trained: TrainedModel, data: Dataset) -> Iterable[str]:
    """What a training run prints at its end: the kept epoch, the threshold, the measures and the files."""
    fitted, threshold = trained.fitted, trained.threshold
    if fitted.interrupted:
        yield f"Training was interrupted after epoch {len(fitted.epochs)}"
    best = "best" if trained.manifest.training["recipe"]["patience"] is not None else "last"
    yield f"Kept the {best} epoch: {fitted.kept.number} of {len(fitted.epochs)}"
    yield (
        f"Threshold {threshold.value:.6g}, chosen by {threshold.rule}; on the validation split: precision "
        f"{threshold.precision:.4f}, recall {threshold.recall:.4f}, F1 {threshold.f1:.4f}, "
        f"{threshold.alerts_per_million:,.0f} alerts per million events"
    )
    if trained.manifest.training["recipe"]["name"] == SEED.name:
        from detector.training.notebook import accuracies  # noqa: PLC0415 - importing torchmetrics takes 2 s

        yield from (f"{name} accuracy: {value:.4f}" for name, value in accuracies(fitted.network, data).items())
    yield "This model, by split:"
    yield from measures_table(trained.manifest.metrics)
    yield "This model and the baselines, on the test split:"
    yield from measures_table(
        {"this model": trained.manifest.metrics["test"]}
        | {name: splits["test"] for name, splits in trained.baselines.items()}
    )
    yield f"Model:      {trained.path}"
    yield f"Loss plot:  {trained.path / LOSS_PLOT}"
    yield f"Report:     {trained.path / REPORT_HTML}"
