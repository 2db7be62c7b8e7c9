"""*Detector overview*: events in, alerts out, consumer lag, and the quality of the model."""

from deploy.grafana.source.panels import Dashboard, Panel, gauge, mean, quantile, rate

_LABELLED = "detector_labelled_records_total"
_PARTITION = ',partition=~"$partition"'

_ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        Panel(
            "Instances up",
            "none",
            "Fewer than you started: see docs/runbooks/detector-down.md. 0: see docs/runbooks/detector-absent.md.",
            {"instances": 'sum(up{job="detector"})'},
            "stat",
            4,
        ),
        Panel(
            "Prometheus alerts firing",
            "none",
            "More than 0: open the Alerts page of Prometheus. Each alert names its runbook; the list of all"
            " runbooks is docs/runbooks/README.md.",
            {"firing": 'count(ALERTS{alertname=~"Detector.*",alertstate="firing"}) or vector(0)'},
            "stat",
            4,
        ),
        Panel(
            "Events per second (now)",
            "eps",
            "0 with a consumer lag: the detector is not reading, see docs/runbooks/detector-no-progress.md. 0 without"
            " a lag: no events arrive, ask the owners of the producers.",
            {"events": rate("detector_records_consumed_total")},
            "stat",
            4,
        ),
        Panel(
            "Consumer lag (now)",
            "short",
            "Thousands of records, and growing: see docs/runbooks/detector-lag-growing.md.",
            {"records": f"sum(max by (partition) ({gauge('detector_lag_records', _PARTITION)}))"},
            "stat",
            4,
        ),
        Panel(
            "Model",
            "none",
            "More than one model: see docs/runbooks/detector-models-differ.md. Not the version that you rolled out:"
            " look for the event `model_rejected` in the log.",
            {"{{name}} {{version}} ({{engine}})": f"count by (name, version, engine) ({gauge('detector_model_info')})"},
            "stat",
            4,
        ),
        Panel(
            "Model loaded",
            "dateTimeFromNow",
            "Long ago: see docs/runbooks/detector-model-old.md. Just now, although nobody rolled out a model: the"
            " instance was restarted, its log says why.",
            {"{{instance}}": f"{gauge('detector_model_loaded_timestamp_seconds')} * 1000"},
            "stat",
            4,
        ),
    ),
    "Input": (
        Panel(
            "Events per second",
            "eps",
            "read = scored + dead-lettered. `read` drops and the lag grows: the cause is the detector. `read` drops"
            " without a lag: the cause is the producers.",
            {
                "read": rate("detector_records_consumed_total"),
                "scored": rate("detector_records_scored_total"),
                "dead-lettered": rate("detector_records_dead_lettered_total"),
            },
        ),
        Panel(
            "Consumer lag by partition",
            "short",
            "The lag of all partitions grows: add instances. The lag of one partition grows: one host writes more"
            " than the others, or the instance that owns the partition is stuck. See"
            " docs/runbooks/detector-lag-growing.md.",
            {"partition {{partition}}": f"max by (partition) ({gauge('detector_lag_records', _PARTITION)})"},
        ),
        Panel(
            "Time to catch up",
            "s",
            "For all instances and partitions, at the rate of the last 10 minutes. There is no line while the lag does"
            " not shrink. More than 1 hour: see docs/runbooks/detector-catch-up-too-long.md.",
            {"until the lag is gone": "job:detector_catch_up_seconds"},
        ),
        Panel(
            "Dead letters per second by reason",
            "eps",
            "A line that stays above 0: a producer writes invalid records. See docs/runbooks/detector-dead-letters.md.",
            {"{{reason}}": rate("detector_records_dead_lettered_total", "reason")},
            width=12,
        ),
        Panel(
            "Share of dead letters",
            "percentunit",
            "Of all instances. By default an instance stops when half of its last 10,000 records are invalid: see"
            " docs/runbooks/detector-dead-letters-near-limit.md.",
            {"dead letters / records": "job:detector_dead_letter_share:ratio_rate10m"},
            width=12,
        ),
    ),
    "Output": (
        Panel(
            "Alerts per second by severity",
            "eps",
            "Many times more than usual: see docs/runbooks/detector-alert-storm.md. None where there usually are some:"
            " see docs/runbooks/detector-alert-silence.md.",
            {"{{severity}}": rate("detector_alerts_total", "severity")},
        ),
        Panel(
            "Share of suspicious events",
            "percentunit",
            "A step without a new model: new hosts, a new workload, or an attack. A step with a new model: read its"
            " training report, and roll the model back if the report does not explain the step. `10 minutes` covers"
            " all instances.",
            {
                "now": f"{rate('detector_alerts_total')} / {rate('detector_records_scored_total')}",
                "10 minutes": "job:detector_alert_share:ratio_rate10m",
            },
        ),
        Panel(
            "Time from event to alert",
            "s",
            "Rises together with the lag: see docs/runbooks/detector-lag-growing.md. Rises without a lag: see"
            " docs/runbooks/detector-event-to-alert-slow.md. Replayed events with old timestamps always look late."
            " `10 minutes` covers all instances.",
            {
                "p50": quantile(0.5, "detector_event_to_alert_seconds"),
                "p99": quantile(0.99, "detector_event_to_alert_seconds"),
                "p99, 10 minutes": "job:detector_event_to_alert_seconds:p99_10m",
            },
        ),
    ),
    "Model quality": (
        Panel(
            "Live precision and recall",
            "percentunit",
            "Of all instances over 1 hour, from the records that carry a label; no line if none does. Precision falls:"
            " too many false positives, raise the threshold. Recall falls: suspicious events are missed, train a model"
            " with them.",
            {"precision": "job:detector_precision:ratio_rate1h", "recall": "job:detector_recall:ratio_rate1h"},
        ),
        Panel(
            "Labelled events per second",
            "eps",
            "`label suspicious, verdict benign` are missed events (false negatives). `label benign, verdict suspicious`"
            " are false alarms (false positives): look at them in the alerts topic.",
            {"label {{label}}, verdict {{verdict}}": rate(_LABELLED, "label, verdict")},
        ),
        Panel(
            "Scores",
            "percentunit",
            "The mean moves away from its usual value: see docs/runbooks/detector-score-shifted.md. The p99 reaches the"
            " threshold: expect more alerts. `10 minutes` covers all instances.",
            {
                "mean": mean("detector_score"),
                "p50": quantile(0.5, "detector_score"),
                "p99": quantile(0.99, "detector_score"),
                "mean, 10 minutes": "job:detector_score:mean10m",
            },
        ),
    ),
}

DASHBOARD = Dashboard(
    "detector-overview",
    "Detector overview",
    "Events in, alerts out, consumer lag, and the quality of the model.",
    _ROWS,
)
