"""Draws both dashboards with matplotlib from the data of a Prometheus server, for docs/pictures.

    make pictures PROMETHEUS=http://127.0.0.1:9090

Needs no Grafana. Titles, positions, units, legends and queries come from the committed JSON. Grafana draws the panels
differently, and a line on each picture says so.
"""

import argparse
import json
import math
import re
import textwrap
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

HERE = Path(__file__).parent
PICTURES = HERE.parents[1] / "docs" / "pictures"
_STEP_S = 10
_DAY_S = 86_400
"""matplotlib counts dates in days since 1970-01-01."""
_RATE_INTERVAL = "40s"
"""Grafana's value of `$__rate_interval`: 4 scrape intervals."""
_CELL_WIDTH_IN, _CELL_HEIGHT_IN = 0.75, 0.38
"""Size of a cell of Grafana's grid, in inches."""
_NOTE = "Drawn with matplotlib from the dashboard's own queries on a live Prometheus; Grafana draws it differently"
_MAX_LEGEND_ENTRIES = 6
_MAX_STAT_VALUES, _STAT_NAME_WIDTH = 3, 26
_PAGE_COLOUR, _PANEL_COLOUR, _GRID_COLOUR, _TEXT_COLOUR = "#111217", "#181b1f", "#2c3235", "#ccccdc"

Series = tuple[str, list[tuple[float, float]]]


def _amount(value: float, unit: str = "") -> str:
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()


def _duration(value: float) -> str:
    for size, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} s" if value >= 1 or value == 0 else f"{value * 1000:.3g} ms"


_UNITS: dict[str, Callable[[float], str]] = {
    "none": _amount,
    "short": _amount,
    "eps": lambda value: _amount(value, "evt/s"),
    "ops": lambda value: _amount(value, "ops/s"),
    "s": _duration,
    "percentunit": lambda value: f"{value * 100:.3g} %",
    "bytes": lambda value: f"{value / 2**20:.4g} MiB",
    "bool_yes_no": lambda value: "Yes" if value else "No",
    "dateTimeFromNow": lambda value: f"{_duration(max(0.0, time.time() - value / 1000))} ago",
}


class History:
    """The last minutes of a Prometheus server.

    Args:
        url: address of the server, without a trailing slash.
        minutes: how far back the history goes.
    """

    def __init__(self, url: str, minutes: float) -> None:
        self._url = url
        self._end = time.time()
        self._start = self._end - minutes * 60

    def series(self, expression: str, legend: str) -> list[Series]:
        """The series of an expression, named by a Grafana legend; samples that are NaN or infinite are left out.

        Raises:
            SystemExit: the server did not respond.
        """
        for variable, value in (("$__rate_interval", _RATE_INTERVAL), ("$instance", ".*"), ("$partition", ".*")):
            expression = expression.replace(variable, value)
        parameters = {"query": expression, "start": self._start, "end": self._end, "step": _STEP_S}
        url = f"{self._url}/api/v1/query_range?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - the user chose the server
                result = json.load(response)["data"]["result"]
        except (OSError, ValueError) as error:
            raise SystemExit(
                f"Prometheus at {self._url} is not responding: {error}; pass the address of a running Prometheus"
            ) from error
        return [(_name(legend, series["metric"]), _points(series["values"])) for series in result]


def _name(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda match: labels.get(match[1], ""), legend)


def _points(values: list[list[Any]]) -> list[tuple[float, float]]:
    numbers = [(float(at), float(value)) for at, value in values]
    return [(at, value) for at, value in numbers if math.isfinite(value)]


def draw(dashboard: dict[str, Any], history: History) -> Figure:
    """Draw a dashboard, given as its JSON."""
    panels = dashboard["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) + 2
    figure = Figure(figsize=(24 * _CELL_WIDTH_IN, rows * _CELL_HEIGHT_IN), facecolor=_PAGE_COLOUR)
    figure.text(0.01, 1 - 0.8 / rows, dashboard["title"], fontsize=18, color="white", va="center")
    figure.text(0.99, 1 - 0.8 / rows, _NOTE, fontsize=9, color="#ffb357", va="center", ha="right")
    annotations = [
        (annotation["iconColor"], at / _DAY_S)
        for annotation in dashboard["annotations"]["list"]
        for _, points in history.series(annotation["expr"], "")
        for at, _ in points
    ]
    for panel in panels:
        at = panel["gridPos"]
        bottom = 1 - (at["y"] + at["h"] + 1.6) / rows
        if panel["type"] == "row":
            figure.text(0.01, bottom + 0.3 / rows, panel["title"], fontsize=12, color=_TEXT_COLOUR, weight="bold")
            continue
        series = [
            one for target in panel["targets"] for one in history.series(target["expr"], target.get("legendFormat", ""))
        ]
        left, low = at["x"] / 24 + 0.002, bottom + 0.1 / rows
        width, height = at["w"] / 24 - 0.004, (at["h"] - 0.2) / rows
        frame = figure.add_axes((left, low, width, height), facecolor=_PANEL_COLOUR, xticks=[], yticks=[])
        frame.spines[:].set_color(_GRID_COLOUR)
        frame.text(0.02, 1 - 0.35 / at["h"], panel["title"], fontsize=9, color=_TEXT_COLOUR, va="top", weight="bold")
        unit = _UNITS[panel["fieldConfig"]["defaults"]["unit"]]
        if panel["type"] == "stat":
            _draw_stat(frame, series, unit)
        else:
            plot = (left + 0.038, low + 0.27 * height, width - 0.048, 0.56 * height)
            axes = figure.add_axes(plot, facecolor=_PANEL_COLOUR)
            _draw_timeseries(axes, series, unit)
            _draw_legend(frame, axes)
            for colour, day in annotations:
                axes.axvline(day, color=colour, linewidth=0.8, linestyle="--")
    return figure


def _draw_stat(frame: Axes, series: Sequence[Series], unit: Callable[[float], str]) -> None:
    """The last value of each series; with its name if there are several, or if the name has more than letters."""
    last = [(name, points[-1][1]) for name, points in series if points][:_MAX_STAT_VALUES]
    for number, (name, value) in enumerate(last):
        with_name = len(last) > 1 or not name.isalpha()
        text = "\n".join([*textwrap.wrap(name, _STAT_NAME_WIDTH), unit(value)]) if with_name else unit(value)
        position = (number + 0.5) / len(last), 0.42
        frame.text(*position, text, fontsize=8 if with_name else 20, color="#73bf69", ha="center", va="center")


def _draw_timeseries(axes: Axes, series: Sequence[Series], unit: Callable[[float], str]) -> None:
    not_empty = [(name, points) for name, points in series if points]
    for name, points in not_empty:
        days = [at / _DAY_S for at, _ in points]
        (line,) = axes.plot(days, [value for _, value in points], linewidth=1.1, label=name)
        axes.fill_between(days, [value for _, value in points], alpha=0.08, color=line.get_color())
    axes.set_ylim(bottom=0)
    if not any(value for _, points in not_empty for _, value in points):
        axes.set_ylim(top=1)
    axes.tick_params(colors="#8e8e9c", labelsize=7, length=0)
    axes.grid(color=_GRID_COLOUR, linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    if unit is _UNITS["bool_yes_no"]:
        axes.set_ylim(top=1.1)
        axes.set_yticks([0, 1])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: unit(value)))


def _draw_legend(frame: Axes, axes: Axes) -> None:
    lines, names = axes.get_legend_handles_labels()
    frame.legend(
        lines[:_MAX_LEGEND_ENTRIES],
        names[:_MAX_LEGEND_ENTRIES],
        loc="lower left",
        ncols=3,
        fontsize=7,
        frameon=False,
        labelcolor=_TEXT_COLOUR,
        handlelength=1,
    )


def main() -> None:
    """Draw every dashboard and write the pictures to docs/pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("prometheus", help="address of the Prometheus server, such as http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=15.0, help="time range of the pictures, default: 15")
    options = parser.parse_args()
    mpl.rcParams["font.family"] = "DejaVu Sans"
    history = History(options.prometheus.rstrip("/"), options.minutes)
    PICTURES.mkdir(exist_ok=True)
    for path in sorted((HERE / "dashboards").glob("*.json")):
        figure = draw(json.loads(path.read_text()), history)
        figure.savefig(PICTURES / f"{path.stem}.png", dpi=80)


if __name__ == "__main__":
    main()
