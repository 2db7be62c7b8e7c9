"""*Detector overview*: events in, alerts out, consumer lag, and the quality of the model."""

from deploy.grafana.source.panels import Dashboard, Panel, gauge, mean, quantile, rate

_LABELLED = "detector_labelled_records_total"
_PARTITION = ',partition=~"$partition"'

_ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        Panel(
            "Instances up",
            "none",
            "Instances that Prometheus can scrape. If there are fewer than you started, see"
            " docs/runbooks/detector-down.md. If there are none, see docs/runbooks/detector-absent.md.",
            {"instances": 'sum(up{job="detector"})'},
            "stat",
            4,
        ),
        Panel(
            "Prometheus alerts firing",
            "none",
            "If this is above 0, open the Alerts page of Prometheus. Each alert there names its runbook;"
            " docs/runbooks/README.md lists all of them.",
            {"firing": 'count(ALERTS{alertname=~"Detector.*",alertstate="firing"}) or vector(0)'},
            "stat",
            4,
        ),
        Panel(
            "Events per second (now)",
            "eps",
            "If this is 0 and there is a consumer lag, the detector is not reading: see"
            " docs/runbooks/detector-no-progress.md. If this is 0 and there is no lag, no events arrive: ask the owners"
            " of the producers.",
            {"events": rate("detector_records_consumed_total")},
            "stat",
            4,
        ),
        Panel(
            "Consumer lag (now)",
            "short",
            "Records in the events topic that the detector has not read yet. If there are thousands and the number"
            " grows, see docs/runbooks/detector-lag-growing.md.",
            {"records": f"sum(max by (partition) ({gauge('detector_lag_records', _PARTITION)}))"},
            "stat",
            4,
        ),
        Panel(
            "Model",
            "none",
            "The model in use, and the number of instances that use it. If there is more than one model, see"
            " docs/runbooks/detector-models-differ.md. If this is not the version that you rolled out, look for the"
            " event `model_rejected` in the log.",
            {"{{name}} {{version}} ({{engine}})": f"count by (name, version, engine) ({gauge('detector_model_info')})"},
            "stat",
            4,
        ),
        Panel(
            "Model loaded",
            "dateTimeFromNow",
            "Time since each instance loaded its model. If it was long ago, see docs/runbooks/detector-model-old.md. If"
            " it was just now although nobody rolled out a model, the instance was restarted: its log says why.",
            {"{{instance}}": f"{gauge('detector_model_loaded_timestamp_seconds')} * 1000"},
            "stat",
            4,
        ),
    ),
    "Input": (
        Panel(
            "Events per second",
            "eps",
            "`read` is the sum of `scored` and `dead-lettered`. If `read` drops and the lag grows, the cause is the"
            " detector. If `read` drops and there is no lag, the cause is the producers.",
            {
                "read": rate("detector_records_consumed_total"),
                "scored": rate("detector_records_scored_total"),
                "dead-lettered": rate("detector_records_dead_lettered_total"),
            },
        ),
        Panel(
            "Consumer lag by partition",
            "short",
            "If the lag of all partitions grows, add instances. If the lag of one partition grows, one host writes more"
            " events than the others, or the instance that reads the partition is stuck. See"
            " docs/runbooks/detector-lag-growing.md.",
            {"partition {{partition}}": f"max by (partition) ({gauge('detector_lag_records', _PARTITION)})"},
        ),
        Panel(
            "Time to catch up",
            "s",
            "How long until the lag of all partitions is 0 at the rate of the last 10 minutes. There is no line while"
            " the lag does not shrink. If this is more than 1 hour, see docs/runbooks/detector-catch-up-too-long.md.",
            {"until the lag is gone": "job:detector_catch_up_seconds"},
        ),
        Panel(
            "Dead letters per second by reason",
            "eps",
            "If a line stays above 0, a producer writes invalid records: see docs/runbooks/detector-dead-letters.md.",
            {"{{reason}}": rate("detector_records_dead_lettered_total", "reason")},
            width=12,
        ),
        Panel(
            "Share of dead letters",
            "percentunit",
            "Invalid records as a share of all records, over 10 minutes and all instances. By default an instance stops"
            " when more than half of its last 10,000 records are invalid: see"
            " docs/runbooks/detector-dead-letters-near-limit.md.",
            {"dead letters / records": "job:detector_dead_letter_share:ratio_rate10m"},
            width=12,
        ),
    ),
    "Output": (
        Panel(
            "Alerts per second by severity",
            "eps",
            "If there are many times more alerts than usual, see docs/runbooks/detector-alert-storm.md. If there are"
            " none although there usually are some, see docs/runbooks/detector-alert-silence.md.",
            {"{{severity}}": rate("detector_alerts_total", "severity")},
        ),
        Panel(
            "Share of suspicious events",
            "percentunit",
            "If the share jumps without a new model, there are new hosts, a new workload or an attack. If it jumps with"
            " a new model, read the model's training report, and roll the model back if the report does not explain the"
            " jump. The line `10 minutes` is over all instances.",
            {
                "now": f"{rate('detector_alerts_total')} / {rate('detector_records_scored_total')}",
                "10 minutes": "job:detector_alert_share:ratio_rate10m",
            },
        ),
        Panel(
            "Time from event to alert",
            "s",
            "Time from the timestamp of the event's Kafka record to the acknowledgement of its alert. If it rises"
            " together with the lag, see docs/runbooks/detector-lag-growing.md. If it rises without a lag, see"
            " docs/runbooks/detector-event-to-alert-slow.md. Records with old timestamps always look late. The line"
            " `10 minutes` is over all instances.",
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
            "Of the events that have a label, over 1 hour and all instances; no line if no event has a label. If"
            " precision falls, there are too many false positives: raise the threshold. If recall falls, suspicious"
            " events are missed: train a model with them.",
            {"precision": "job:detector_precision:ratio_rate1h", "recall": "job:detector_recall:ratio_rate1h"},
        ),
        Panel(
            "Labelled events per second",
            "eps",
            "The label comes from the data, the verdict from the model. `label suspicious, verdict benign` are missed"
            " events (false negatives). `label benign, verdict suspicious` are false alarms (false positives), which"
            " are in the alerts topic.",
            {"label {{label}}, verdict {{verdict}}": rate(_LABELLED, "label, verdict")},
        ),
        Panel(
            "Scores",
            "percentunit",
            "If the mean moves away from its usual value, see docs/runbooks/detector-score-shifted.md. If the p99"
            " reaches the threshold, expect more alerts. The line `10 minutes` is over all instances.",
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
