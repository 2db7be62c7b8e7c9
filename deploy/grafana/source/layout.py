"""Panels as Grafana's own objects, and where each of them stands."""

import re
from collections.abc import Iterator, Mapping, Sequence

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    GridPos,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.source.panels import Page, Panel, gauge

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
"""The uid of provisioning/datasources/prometheus.yml."""
_COPY = "/public/"
"""Where the compose file's Grafana serves docs/runbooks: it stands before a path like those of `runbook_url`."""
_WIDTH = 24

_VARIABLES = {
    "instance": "label_values(detector_build_info, instance)",
    "partition": "label_values(detector_lag_records, partition)",
}

ANNOTATIONS = {
    "Model loaded": ("green", f"changes({gauge('detector_model_loaded_timestamp_seconds')}[$__rate_interval]) > 0"),
    "Rebalance": (
        "orange",
        f"sum by (instance) (increase({gauge('detector_rebalances_total')}[$__rate_interval])) > 0",
    ),
}


def dashboard(page: Page, other: str) -> grafana.Dashboard:
    """Grafana's dashboard of a page; each panel links to the dashboard with the uid `other`, and to its runbooks."""
    built = (
        grafana.Dashboard(page.title)
        .uid(page.uid)
        .description(page.description)
        .tags(["detector"])
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            grafana.DashboardLink("Detector dashboards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["detector"])
            .keep_time(True)
            .include_vars(True)
        )
    )
    expressions = [query for panels in page.rows.values() for panel in panels for query in panel.queries.values()]
    for name, query in _VARIABLES.items():
        if any(f"${name}" in expression for expression in expressions):  # else a choice that changes nothing
            built.with_variable(_variable(name, query))
    for name, (colour, expression) in ANNOTATIONS.items():
        built.annotation(
            grafana.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour).expr(expression)
        )
    for row_or_panel in _placed(page.rows, other):
        if isinstance(row_or_panel, grafana.Row):
            built.with_row(row_or_panel)
        else:
            built.with_panel(row_or_panel)
    return built


def _variable(name: str, query: str) -> grafana.QueryVariable:
    return (
        grafana.QueryVariable(name)
        .label(name)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NUMERICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def _placed(rows: Mapping[str, Sequence[Panel]], other: str) -> Iterator[grafana.Row | timeseries.Panel | stat.Panel]:
    """Rows and panels from left to right and top to bottom."""
    number = y = 0
    for title, panels in rows.items():
        number += 1
        yield grafana.Row(title).id(number).grid_pos(GridPos(h=1, w=_WIDTH, x=0, y=y))
        y += 1
        height = 4 if panels[0].kind == "figure" else 8
        x = 0
        for panel in panels:
            number += 1
            yield _panel(panel, other).id(number).grid_pos(GridPos(h=height, w=panel.width, x=x, y=y))
            x += panel.width
            if x >= _WIDTH:
                x, y = 0, y + height
        y += height if x else 0


def _panel(panel: Panel, other: str) -> timeseries.Panel | stat.Panel:
    built = _lines() if panel.kind == "lines" else _figure(panel)
    for number, (legend, expression) in enumerate(panel.queries.items()):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + number))
        built.with_target((query.range() if panel.kind == "lines" else query.instant()).datasource(SOURCE))
    link = grafana.DashboardLink("The other dashboard, same time and instances").type(DashboardLinkType.LINK)
    runbooks = re.findall(r"docs/runbooks/([\w-]+)\.md", panel.wrong)
    return (
        built.title(panel.title)
        .description(panel.wrong)
        .unit(panel.unit)
        .datasource(SOURCE)
        .links([link.url(f"/d/{other}?${{__url_time_range}}&${{instance:queryparam}}"), *map(_runbook, runbooks)])
    )


def _runbook(name: str) -> grafana.DashboardLink:
    link = grafana.DashboardLink(f"Runbook: {name}").type(DashboardLinkType.LINK)
    # In a tab of its own: in the same one Grafana would look for a page of its own at that path.
    return link.url(f"{_COPY}docs/runbooks/{name}.md").target_blank(True)


def _lines() -> timeseries.Panel:
    return (
        timeseries.Panel()
        .min(0)
        .line_width(1)
        .fill_opacity(10)
        .show_points(options.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI))
    )


def _figure(panel: Panel) -> stat.Panel:
    named = any("{{" in legend for legend in panel.queries)
    return (
        stat.Panel()
        .graph_mode(options.BigValueGraphMode.NONE)
        .color_mode(options.BigValueColorMode.NONE)
        .text_mode(options.BigValueTextMode.VALUE_AND_NAME if named else options.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
