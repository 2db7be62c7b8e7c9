"""*Detector internals*: where the time goes, and how the process is."""

from deploy.grafana.source.panels import Page, Panel, gauge, mean, quantile, rate

_ROWS: dict[str, tuple[Panel, ...]] = {
    "Batches": (
        Panel(
            "Time by stage, share of a second",
            "percentunit",
            "Of an instance, on average. `decode`, `score` and `deliver` together at 100 %: the loop is at its limit,"
            " start another instance. `deliver` alone grows: the brokers are slow to acknowledge. `commit` goes on"
            " beside the next batch and may be more.",
            {"{{stage}}": f"avg by (stage) (rate({gauge('detector_stage_duration_seconds_sum')}[$__rate_interval]))"},
        ),
        Panel(
            "Time of a stage, p99",
            "s",
            "`decode` or `score` grow with no larger batches: the processor is shared with something."
            " `deliver`, `commit`: look at the brokers.",
            {"{{stage}}": quantile(0.99, "detector_stage_duration_seconds", "stage")},
        ),
        Panel(
            "Records in a batch",
            "short",
            "At DETECTOR_BATCH__MAX_RECORDS all the time: the service is at its limit, look at the lag. A few:"
            " quiet, nothing to do.",
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
            "Only those that the loop of an instance starts by itself, every 2 s, are expected: 0.5 in generation 2,"
            " less where a batch takes longer. More, or another generation: its collector was switched on.",
            {"{{instance}}, generation {{generation}}": rate("python_gc_collections_total", "instance, generation")},
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

PAGE = Page(
    "detector-internals",
    "Detector internals",
    "Where the time goes, and how the process is.",
    _ROWS,
)
