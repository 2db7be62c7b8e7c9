"""*Detector overview*: what comes in, what comes out, and whether it keeps up."""

from deploy.grafana.source.panels import Page, Panel, gauge, mean, quantile, rate

_LABELLED = "detector_labelled_records_total"
_PARTITION = ',partition=~"$partition"'

_ROWS: dict[str, tuple[Panel, ...]] = {
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
            "Any but 0: open the Alerts page of Prometheus; each alert names its runbook; all of them:"
            " docs/runbooks/README.md.",
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
            {"records": f"sum(max by (partition) ({gauge('detector_lag_records', _PARTITION)}))"},
            "figure",
            4,
        ),
        Panel(
            "Model",
            "none",
            "More than one line: docs/runbooks/detector-models-differ.md. Not the version that was rolled out:"
            " look at the log for `model refused`.",
            {"{{name}} {{version}} ({{engine}})": f"count by (name, version, engine) ({gauge('detector_model_info')})"},
            "figure",
            4,
        ),
        Panel(
            "Model loaded",
            "dateTimeFromNow",
            "Long ago: docs/runbooks/detector-model-old.md. Just now, and nobody did it: the instance was"
            " restarted; its log says why.",
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
            "All grow: too little capacity, start another instance. One grows: its host writes more than the"
            " others, or its owner is stuck. docs/runbooks/detector-lag-growing.md.",
            {"partition {{partition}}": f"max by (partition) ({gauge('detector_lag_records', _PARTITION)})"},
        ),
        Panel(
            "Time to catch up",
            "s",
            "Of all instances and partitions, at the speed of the last 10 minutes; no line while the lag does not"
            " shrink. More than an hour: docs/runbooks/detector-catch-up-too-long.md.",
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
            "Of all instances. By default an instance stops at half of its last 10,000 records:"
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
            "A step without a new model: other hosts, another workload, or an attack. With a new model: look at"
            " its report, and roll it back if that does not explain it. `10 minutes` is of all instances.",
            {
                "now": f"{rate('detector_alerts_total')} / {rate('detector_records_scored_total')}",
                "10 minutes": "job:detector_alert_share:ratio_rate10m",
            },
        ),
        Panel(
            "From event to alert",
            "s",
            "Rises with the lag: docs/runbooks/detector-lag-growing.md. Without lag:"
            " docs/runbooks/detector-event-to-alert-slow.md. Replayed events with old timestamps are late by"
            " nature. `10 minutes` is of all instances.",
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
            "Of all instances, from records that carry labels, over an hour; no line where none do. Precision falls:"
            " too many false alarms, raise the threshold. Recall falls: suspicious events pass, train again with"
            " them.",
            {"precision": "job:detector_precision:ratio_rate1h", "recall": "job:detector_recall:ratio_rate1h"},
        ),
        Panel(
            "Labelled events per second",
            "eps",
            "`label suspicious, verdict benign` are missed, `label benign, verdict suspicious` are false"
            " alarms: look at the events in the alerts topic.",
            {"label {{label}}, verdict {{verdict}}": rate(_LABELLED, "label, verdict")},
        ),
        Panel(
            "Scores",
            "percentunit",
            "The mean drifts away from its past: docs/runbooks/detector-score-shifted.md. The p99 meets the"
            " threshold: alerts follow. `10 minutes` is of all instances.",
            {
                "mean": mean("detector_score"),
                "p50": quantile(0.5, "detector_score"),
                "p99": quantile(0.99, "detector_score"),
                "mean, 10 minutes": "job:detector_score:mean10m",
            },
        ),
    ),
}

PAGE = Page(
    "detector-overview",
    "Detector overview",
    "What comes in, what comes out, and whether it keeps up.",
    _ROWS,
)
