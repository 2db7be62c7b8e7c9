"""The report of a training run: `report.json` for programs, and `report.html`, a single self-contained file."""

import base64
import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from detector.model.manifest import Manifest
from detector.training.evaluation import MEASURES
from detector.training.robustness import AS_ORDINARY_USER, UNCHANGED

_TITLES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "average precision",
}


def render_json(report: Mapping[str, Any]) -> bytes:
    """The report as JSON; undefined measures (AUROC of rows that all have one label) are null."""
    return (json.dumps(_without_nan(report), indent=2, allow_nan=False) + "\n").encode()


def render_html(report: Mapping[str, Any], manifest: Manifest, figures: Mapping[str, str]) -> bytes:
    """The report as an HTML page.

    Args:
        report: the same as for `render_json`.
        manifest: the model's manifest.
        figures: SVG text by title.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"figure": _figure, "count": _count, "svg": _data_url}
    template = environment.from_string((files("detector.training") / "report.html.jinja").read_text("utf-8"))
    page = template.render(
        report=report,
        manifest=manifest,
        figures=figures,
        measures=MEASURES,
        titles=_TITLES,
        unchanged=UNCHANGED,
        as_ordinary_user=AS_ORDINARY_USER,
    )
    return page.encode()


def _figure(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.4f}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _data_url(svg: str) -> Markup:
    # As an image each figure has its own names: the ids of SVGs that stand in one page collide.
    return Markup("data:image/svg+xml;base64,") + base64.b64encode(svg.encode()).decode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
