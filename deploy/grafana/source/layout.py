"""Turns dashboards and panels into the Grafana SDK's objects, and places the panels on the grid."""

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

from deploy.grafana.source.panels import Dashboard, Panel, gauge

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
"""The data source of provisioning/datasources/prometheus.yml."""
_RUNBOOKS_PREFIX = "/public/"
"""Prefix of a path such as docs/runbooks/README.md: where the compose file's Grafana serves it."""
_GRID_COLUMNS = 24

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


def build(dashboard: Dashboard, other_uid: str) -> grafana.Dashboard:
    """Grafana's object for a dashboard; each panel links to the dashboard `other_uid` and to its own runbooks."""
    built = (
        grafana.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
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
    expressions = [query for panels in dashboard.rows.values() for panel in panels for query in panel.queries.values()]
    for name, query in _VARIABLES.items():
        if any(
            f"${name}" in expression for expression in expressions
        ):  # a variable that no query uses would have no effect
            built.with_variable(_variable(name, query))
    for name, (colour, expression) in ANNOTATIONS.items():
        built.annotation(
            grafana.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour).expr(expression)
        )
    for row_or_panel in _placed(dashboard.rows, other_uid):
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


def _placed(
    rows: Mapping[str, Sequence[Panel]], other_uid: str
) -> Iterator[grafana.Row | timeseries.Panel | stat.Panel]:
    """Rows and panels with their ids and grid positions, from left to right and top to bottom."""
    panel_id = y = 0
    for title, panels in rows.items():
        panel_id += 1
        yield grafana.Row(title).id(panel_id).grid_pos(GridPos(h=1, w=_GRID_COLUMNS, x=0, y=y))
        y += 1
        height = 4 if panels[0].kind == "stat" else 8
        x = 0
        for panel in panels:
            panel_id += 1
            yield _panel(panel, other_uid).id(panel_id).grid_pos(GridPos(h=height, w=panel.width, x=x, y=y))
            x += panel.width
            if x >= _GRID_COLUMNS:
                x, y = 0, y + height
        y += height if x else 0


def _panel(panel: Panel, other_uid: str) -> timeseries.Panel | stat.Panel:
    built = _timeseries() if panel.kind == "timeseries" else _stat(panel)
    for number, (legend, expression) in enumerate(panel.queries.items()):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + number))
        built.with_target((query.range() if panel.kind == "timeseries" else query.instant()).datasource(SOURCE))
    link = grafana.DashboardLink("Other dashboard, same time range and instances").type(DashboardLinkType.LINK)
    runbooks = re.findall(r"docs/runbooks/([\w-]+)\.md", panel.description)
    return (
        built.title(panel.title)
        .description(panel.description)
        .unit(panel.unit)
        .datasource(SOURCE)
        .links([link.url(f"/d/{other_uid}?${{__url_time_range}}&${{instance:queryparam}}"), *map(_runbook, runbooks)])
    )


def _runbook(name: str) -> grafana.DashboardLink:
    link = grafana.DashboardLink(f"Runbook: {name}").type(DashboardLinkType.LINK)
    # In a new tab: in the same tab Grafana would treat the path as one of its own pages.
    return link.url(f"{_RUNBOOKS_PREFIX}docs/runbooks/{name}.md").target_blank(True)


def _timeseries() -> timeseries.Panel:
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


def _stat(panel: Panel) -> stat.Panel:
    has_labels = any("{{" in legend for legend in panel.queries)
    return (
        stat.Panel()
        .graph_mode(options.BigValueGraphMode.NONE)
        .color_mode(options.BigValueColorMode.NONE)
        .text_mode(options.BigValueTextMode.VALUE_AND_NAME if has_labels else options.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
