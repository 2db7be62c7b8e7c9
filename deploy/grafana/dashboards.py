"""The Grafana dashboards: `make dashboards` writes them to deploy/grafana/dashboards as JSON, which is committed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.cog.encoder import JSONEncoder
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

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
"""The uid of provisioning/datasources/prometheus.yml."""

OVERVIEW = "detector-overview"
INTERNALS = "detector-internals"
_WIDTH = 24
_HERE = 'job="detector",instance=~"$instance"'


@dataclass(frozen=True)
class Panel:
    """A panel: what it shows, and what its reader is to do.

    Args:
        title: what is shown.
        unit: Grafana's name of the unit.
        wrong: what it looks like when something is wrong, and what to do then.
        queries: expressions by legend.
        kind: a line over time, or one figure.
        width: in columns of 24.
    """

    title: str
    unit: str
    wrong: str
    queries: dict[str, str]
    kind: Literal["lines", "figure"] = "lines"
    width: int = 8


def rate(metric: str, by: str = "", labels: str = "") -> str:
    """Per second, summed over what `by` does not name."""
    over = f" by ({by})" if by else ""
    return f"sum{over} (rate({metric}{{{_HERE}{labels}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "") -> str:
    """The value below which this share of a histogram's observations lies."""
    return f"histogram_quantile({share:g}, {rate(f'{histogram}_bucket', f'{by}, le' if by else 'le')})"


def mean(histogram: str, by: str = "") -> str:
    """The mean of a histogram's observations."""
    return f"{rate(f'{histogram}_sum', by)} / {rate(f'{histogram}_count', by)}"


def gauge(metric: str, labels: str = "") -> str:
    """As it is."""
    return f"{metric}{{{_HERE}{labels}}}"


_LABELLED = "detector_labelled_records_total"
_PARTITION = ',partition=~"$partition"'

OVERVIEW_ROWS: dict[str, Sequence[Panel]] = {
    "Now": (
        Panel(
            "Instances that answer",
            "none",
            "Fewer than were started: see docs/runbooks/detector-down.md; 0: docs/runbooks/detector-absent.md.",
            {"instances": 'sum(up{job="detector"})'},
            "figure",
            4,
        ),
        Panel(
            "Alerts of Prometheus that fire",
            "none",
            "Any but 0: open the Alerts page of Prometheus; each alert names its runbook in docs/runbooks.",
            {"firing": 'count(ALERTS{alertname=~"Detector.*",alertstate="firing"}) or vector(0)'},
            "figure",
            4,
        ),
        Panel(
            "Events per second, now",
            "eps",
            "0 while producers write: look at the lag. 0 with no lag: nothing comes in, ask those who run the"
            " producers.",
            {"events": rate("detector_records_consumed_total")},
            "figure",
            4,
        ),
        Panel(
            "Lag, now",
            "short",
            "Thousands, and growing: docs/runbooks/detector-lag-growing.md.",
            {"records": f"sum(max by (partition) ({gauge('detector_lag_records')}))"},
            "figure",
            4,
        ),
        Panel(
            "Model",
            "none",
            "More than one line: docs/runbooks/detector-models-differ.md. Not the version that was rolled out: look at"
            " the log for `model refused`.",
            {"{{name}} {{version}} ({{engine}})": f"count by (name, version, engine) ({gauge('detector_model_info')})"},
            "figure",
            4,
        ),
        Panel(
            "Model loaded",
            "dateTimeFromNow",
            "Long ago: docs/runbooks/detector-model-old.md. Just now, and nobody did it: the instance was restarted;"
            " its log"
            " says why.",
            {"{{instance}}": f"{gauge('detector_model_loaded_timestamp_seconds')} * 1000"},
            "figure",
            4,
        ),
    ),
    "What comes in": (
        Panel(
            "Events per second",
            "eps",
            "read = scored + dead-lettered. A step down with a growing lag is this service's; without one, the"
            " producers'.",
            {
                "read": rate("detector_records_consumed_total"),
                "scored": rate("detector_records_scored_total"),
                "dead-lettered": rate("detector_records_dead_lettered_total"),
            },
        ),
        Panel(
            "Lag by partition",
            "short",
            "All grow: too little capacity, start another instance. One grows: its host writes more than the others,"
            " or its"
            " owner is stuck. docs/runbooks/detector-lag-growing.md.",
            {"partition {{partition}}": f"max by (partition) ({gauge('detector_lag_records', _PARTITION)})"},
        ),
        Panel(
            "Time to catch up",
            "s",
            "At the speed of the last 10 minutes; no line while the lag does not shrink. More than an hour:"
            " docs/runbooks/detector-catch-up-too-long.md.",
            {"until the lag is gone": "job:detector_catch_up_seconds"},
        ),
        Panel(
            "Dead letters per second, by reason",
            "eps",
            "Any steady line: a producer writes what is no event. See docs/runbooks/detector-dead-letters.md.",
            {"{{reason}}": rate("detector_records_dead_lettered_total", "reason")},
            width=12,
        ),
        Panel(
            "Share of dead letters",
            "percentunit",
            "By default the service stops at half of the last 10,000 records:"
            " docs/runbooks/detector-dead-letters-near-limit.md.",
            {"dead letters of all records": "job:detector_dead_letter_share:ratio_rate10m"},
            width=12,
        ),
    ),
    "What comes out": (
        Panel(
            "Alerts per second, by severity",
            "eps",
            "Many times its own past: docs/runbooks/detector-alert-storm.md. None where there used to be some:"
            " docs/runbooks/detector-alert-silence.md.",
            {"{{severity}}": rate("detector_alerts_total", "severity")},
        ),
        Panel(
            "Share of suspicious events",
            "percentunit",
            "A step without a new model: other hosts, another workload, or an attack. With a new model: look at its"
            " report,"
            " and roll it back if that does not explain it.",
            {
                "now": f"{rate('detector_alerts_total')} / {rate('detector_records_scored_total')}",
                "10 minutes": "job:detector_alert_share:ratio_rate10m",
            },
        ),
        Panel(
            "From event to alert",
            "s",
            "Rises with the lag: docs/runbooks/detector-lag-growing.md. Without lag:"
            " docs/runbooks/detector-event-to-alert-slow.md."
            " Replayed events with old timestamps are late by nature.",
            {
                "p50": quantile(0.5, "detector_event_to_alert_seconds"),
                "p99": quantile(0.99, "detector_event_to_alert_seconds"),
                "p99, 10 minutes": "job:detector_event_to_alert_seconds:p99_10m",
            },
        ),
    ),
    "What it is worth": (
        Panel(
            "Precision and recall, live",
            "percentunit",
            "From records that carry labels, over an hour; no line where none do. Precision falls: too many false"
            " alarms,"
            " raise the threshold. Recall falls: suspicious events pass, train again with them.",
            {"precision": "job:detector_precision:ratio_rate1h", "recall": "job:detector_recall:ratio_rate1h"},
        ),
        Panel(
            "Labelled events per second",
            "eps",
            "`label suspicious, verdict benign` are missed, `label benign, verdict suspicious` are false alarms: look"
            " at the"
            " events in the alerts topic.",
            {"label {{label}}, verdict {{verdict}}": rate(_LABELLED, "label, verdict")},
        ),
        Panel(
            "Scores",
            "percentunit",
            "The mean drifts away from its past: docs/runbooks/detector-score-shifted.md. The p99 meets the"
            " threshold: alerts follow.",
            {
                "mean": mean("detector_score"),
                "p50": quantile(0.5, "detector_score"),
                "p99": quantile(0.99, "detector_score"),
                "mean, 10 minutes": "job:detector_score:mean10m",
            },
        ),
    ),
}

INTERNALS_ROWS: dict[str, Sequence[Panel]] = {
    "Batches": (
        Panel(
            "Time by stage, share of a second",
            "percentunit",
            "The sum at 100 %: one core is the limit, start another instance. `deliver` alone grows: the brokers are"
            " slow to"
            " acknowledge.",
            {"{{stage}}": rate("detector_stage_duration_seconds_sum", "stage")},
        ),
        Panel(
            "Time of a stage, p99",
            "s",
            "`decode` or `score` grow with no larger batches: the processor is shared with something. `deliver`,"
            " `commit`:"
            " look at the brokers.",
            {"{{stage}}": quantile(0.99, "detector_stage_duration_seconds", "stage")},
        ),
        Panel(
            "Records in a batch",
            "short",
            "At DETECTOR_BATCH__MAX_RECORDS all the time: the service is at its limit, look at the lag. A few: quiet,"
            " nothing"
            " to do.",
            {
                "mean": mean("detector_batch_records"),
                "p50": quantile(0.5, "detector_batch_records"),
                "p99": quantile(0.99, "detector_batch_records"),
            },
        ),
        Panel(
            "Batches per second",
            "ops",
            "0 with a lag: docs/runbooks/detector-no-progress.md.",
            {"{{instance}}": rate("detector_batches_total", "instance")},
        ),
        Panel(
            "Since the last progress",
            "s",
            "Minutes: docs/runbooks/detector-no-progress.md.",
            {"{{instance}}": f"time() - {gauge('detector_last_progress_timestamp_seconds')}"},
        ),
        Panel(
            "Paused",
            "bool_yes_no",
            "Yes for longer than a moment: docs/runbooks/detector-paused.md.",
            {"{{instance}}": gauge("detector_paused")},
        ),
    ),
    "Kafka": (
        Panel(
            "Commits per second",
            "ops",
            "Failures now and then are made up for by the next commit; steady ones:"
            " docs/runbooks/detector-commit-failures.md.",
            {
                "succeeded": rate("detector_commits_total"),
                "failed": rate("detector_commit_failures_total"),
            },
        ),
        Panel(
            "Rebalances",
            "short",
            "In the last 10 minutes. Outside of deployments there should be none:"
            " docs/runbooks/detector-rebalancing.md.",
            {"{{kind}}": f"sum by (kind) (increase({gauge('detector_rebalances_total')}[10m]))"},
        ),
        Panel(
            "Assigned partitions",
            "none",
            "0 for an instance: there are more instances than partitions, or it is not in the group: ask its /readyz.",
            {"{{instance}}": gauge("detector_assigned_partitions")},
        ),
        Panel(
            "Refused records per second, by topic",
            "eps",
            "Any: docs/runbooks/detector-delivery-failures.md.",
            {"{{topic}}": rate("detector_delivery_failures_total", "topic")},
            width=12,
        ),
        Panel(
            "Positions that were gone",
            "none",
            "In the last hour. Any: records were lost to retention, docs/runbooks/detector-offsets-reset.md.",
            {"{{instance}}": f"increase({gauge('detector_offset_resets_total')}[1h])"},
            width=12,
        ),
    ),
    "Process": (
        Panel(
            "CPU",
            "percentunit",
            "100 % is one core, and all that one instance can use: start another.",
            {"{{instance}}": rate("process_cpu_seconds_total", "instance")},
        ),
        Panel(
            "Memory",
            "bytes",
            "It should be flat after some minutes. A slope over hours is a leak: note the version and open an issue.",
            {"{{instance}}": gauge("process_resident_memory_bytes")},
        ),
        Panel(
            "Garbage collections per second",
            "ops",
            "Only those that the loop starts by itself, every 10 s, are expected: 0.1. More: its collector was"
            " switched on.",
            {"generation {{generation}}": rate("python_gc_collections_total", "generation")},
        ),
        Panel(
            "Objects that a collection freed, per second",
            "ops",
            "A slope means that something makes cycles with every batch: note the version and open an issue.",
            {"generation {{generation}}": rate("python_gc_objects_collected_total", "generation")},
        ),
        Panel(
            "Open files",
            "none",
            "It should be flat. A slope is a leak of sockets: note the version and open an issue.",
            {
                "{{instance}}": gauge("process_open_fds"),
                "{{instance}}, limit": gauge("process_max_fds"),
            },
        ),
        Panel(
            "Running since",
            "dateTimeFromNow",
            "Just now, and nobody deployed: it was restarted, its last log lines say why.",
            {"{{instance}}": f"{gauge('process_start_time_seconds')} * 1000"},
            "figure",
        ),
    ),
    "Model, build and HTTP": (
        Panel(
            "Model reloads",
            "none",
            "In the last hour. `refused`: docs/runbooks/detector-model-refused.md.",
            {"{{result}}": f"sum by (result) (increase({gauge('detector_model_reloads_total')}[1h]))"},
        ),
        Panel(
            "Build",
            "none",
            "More than one line outside of a deployment: some instances were left behind.",
            {
                "{{version}}, Python {{python}}, {{client}}": "count by (version, python, client)"
                f" ({gauge('detector_build_info')})"
            },
            "figure",
        ),
        Panel(
            "Time of a scrape",
            "s",
            "Half a second and more: the process has no processor left, or the network is slow.",
            {"{{instance}}": gauge("scrape_duration_seconds")},
        ),
        Panel(
            "Samples of a scrape",
            "none",
            "It depends on the number of partitions only. A slope: a label that should not be there; open an issue.",
            {"{{instance}}": gauge("scrape_samples_scraped")},
            width=12,
        ),
        Panel(
            "Answers on HTTP",
            "bool_yes_no",
            "No: docs/runbooks/detector-down.md.",
            {"{{instance}}": gauge("up")},
            width=12,
        ),
    ),
}

ANNOTATIONS = {
    "Model loaded": ("green", f"changes({gauge('detector_model_loaded_timestamp_seconds')}[$__rate_interval]) > 0"),
    "Rebalance": (
        "orange",
        f"sum by (instance) (increase({gauge('detector_rebalances_total')}[$__rate_interval])) > 0",
    ),
}


def dashboards() -> dict[str, str]:
    """Each dashboard's JSON, by file name."""
    overview = _dashboard(
        OVERVIEW, "Detector overview", "What comes in, what comes out, and whether it keeps up.", OVERVIEW_ROWS
    )
    internals = _dashboard(
        INTERNALS, "Detector internals", "Where the time goes, and how the process is.", INTERNALS_ROWS
    )
    return {
        f"{uid}.json": JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"
        for uid, built in ((OVERVIEW, overview), (INTERNALS, internals))
    }


def _dashboard(uid: str, title: str, description: str, rows: dict[str, Sequence[Panel]]) -> grafana.Dashboard:
    built = (
        grafana.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["detector"])
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(_variable("instance", "label_values(detector_build_info, instance)"))
        .with_variable(_variable("partition", "label_values(detector_lag_records, partition)"))
        .link(
            grafana.DashboardLink("Detector dashboards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["detector"])
            .keep_time(True)
            .include_vars(True)
        )
    )
    for name, (colour, expression) in ANNOTATIONS.items():
        built.annotation(
            grafana.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour).expr(expression)
        )
    other = INTERNALS if uid == OVERVIEW else OVERVIEW
    for row_or_panel in _placed(rows, other):
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


def _placed(rows: dict[str, Sequence[Panel]], other: str) -> Iterator[grafana.Row | timeseries.Panel | stat.Panel]:
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
    return (
        built.title(panel.title)
        .description(panel.wrong)
        .unit(panel.unit)
        .datasource(SOURCE)
        .links([link.url(f"/d/{other}?${{__url_time_range}}&${{instance:queryparam}}")])
    )


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


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in dashboards().items():
        (FOLDER / name).write_text(content)
