"""*Detector internals*: batches, the Kafka client, the process, and the model that is loaded."""

from deploy.grafana.source.panels import Dashboard, Panel, gauge, mean, quantile, rate

_ROWS: dict[str, tuple[Panel, ...]] = {
    "Batches": (
        Panel(
            "Time by stage",
            "percentunit",
            "Share of each second that an instance spends in a stage, average of the instances. `decode`, `score` and"
            " `deliver` together near 100 %: the main loop is at its limit, add an instance. Only `deliver` grows: the"
            " brokers are slow to acknowledge. `commit` runs in parallel with the next batch and can add to more than"
            " 100 %.",
            {"{{stage}}": f"avg by (stage) (rate({gauge('detector_stage_duration_seconds_sum')}[$__rate_interval]))"},
        ),
        Panel(
            "Stage duration, p99",
            "s",
            "`decode` or `score` grows but batches do not: the process shares its CPU with something else. `deliver` or"
            " `commit` grows: look at the brokers.",
            {"{{stage}}": quantile(0.99, "detector_stage_duration_seconds", "stage")},
        ),
        Panel(
            "Records per batch",
            "short",
            "Always at DETECTOR_BATCH__MAX_RECORDS: the instance is at its limit, look at the lag. Only a few: there is"
            " little load, nothing to do.",
            {
                "mean": mean("detector_batch_records"),
                "p50": quantile(0.5, "detector_batch_records"),
                "p99": quantile(0.99, "detector_batch_records"),
            },
        ),
        Panel(
            "Batches per second",
            "ops",
            "0 with a lag: see docs/runbooks/detector-no-progress.md.",
            {"{{instance}}": rate("detector_batches_total", "instance")},
        ),
        Panel(
            "Time since last progress",
            "s",
            "Minutes: see docs/runbooks/detector-no-progress.md.",
            {"{{instance}}": f"time() - {gauge('detector_last_progress_timestamp_seconds')}"},
        ),
        Panel(
            "Reading paused",
            "bool_yes_no",
            "Yes for more than a few seconds: see docs/runbooks/detector-paused.md.",
            {"{{instance}}": gauge("detector_paused")},
        ),
    ),
    "Kafka": (
        Panel(
            "Commits per second",
            "ops",
            "A failure now and then is harmless, because the next commit covers it. Failures that continue: see"
            " docs/runbooks/detector-commit-failures.md.",
            {
                "succeeded": rate("detector_commits_total"),
                "failed": rate("detector_commit_failures_total"),
            },
        ),
        Panel(
            "Rebalances in 10 minutes",
            "short",
            "Outside of deployments this should be 0: see docs/runbooks/detector-rebalancing.md.",
            {"{{kind}}": f"sum by (kind) (increase({gauge('detector_rebalances_total')}[10m]))"},
        ),
        Panel(
            "Assigned partitions",
            "none",
            "0 for an instance: there are more instances than partitions, or the instance is not a member of the"
            " consumer group. Its /readyz says which.",
            {"{{instance}}": gauge("detector_assigned_partitions")},
        ),
        Panel(
            "Rejected records per second by topic",
            "eps",
            "Above 0: see docs/runbooks/detector-delivery-failures.md.",
            {"{{topic}}": rate("detector_delivery_failures_total", "topic")},
            width=12,
        ),
        Panel(
            "Offset resets in 1 hour",
            "none",
            "Above 0: a committed offset no longer existed, and records may have expired before they were read. See"
            " docs/runbooks/detector-offsets-reset.md.",
            {"{{instance}}": f"increase({gauge('detector_offset_resets_total')}[1h])"},
            width=12,
        ),
    ),
    "Process": (
        Panel(
            "CPU",
            "percentunit",
            "100 % is one core, and an instance cannot use more than one: add an instance.",
            {"{{instance}}": rate("process_cpu_seconds_total", "instance")},
        ),
        Panel(
            "Memory",
            "bytes",
            "Should be constant after some minutes. Growth over hours is a leak: note the version and open an issue.",
            {"{{instance}}": gauge("process_resident_memory_bytes")},
        ),
        Panel(
            "Garbage collections per second",
            "ops",
            "Expected are only those that the main loop starts itself every 2 s: 0.5 per second in generation 2, fewer"
            " when a batch takes longer. More, or another generation: Python's automatic garbage collection was"
            " switched on.",
            {"{{instance}}, generation {{generation}}": rate("python_gc_collections_total", "instance, generation")},
        ),
        Panel(
            "Objects freed by garbage collection per second",
            "ops",
            "Growth means that something creates reference cycles with every batch: note the version and open"
            " an issue.",
            {"generation {{generation}}": rate("python_gc_objects_collected_total", "generation")},
        ),
        Panel(
            "Open file descriptors",
            "none",
            "Should be constant. Growth is a leak of sockets: note the version and open an issue.",
            {
                "{{instance}}": gauge("process_open_fds"),
                "{{instance}}, limit": gauge("process_max_fds"),
            },
        ),
        Panel(
            "Process started",
            "dateTimeFromNow",
            "Just now, although nobody deployed: the instance was restarted, the last log lines before that say why.",
            {"{{instance}}": f"{gauge('process_start_time_seconds')} * 1000"},
            "stat",
        ),
    ),
    "Model, build and scrapes": (
        Panel(
            "Model reloads in 1 hour",
            "none",
            "`refused` above 0: a new model was rejected, see docs/runbooks/detector-model-refused.md.",
            {"{{result}}": f"sum by (result) (increase({gauge('detector_model_reloads_total')}[1h]))"},
        ),
        Panel(
            "Build",
            "none",
            "More than one build outside of a deployment: some instances were not upgraded.",
            {
                "{{version}}, Python {{python}}, {{client}}": "count by (version, python, client)"
                f" ({gauge('detector_build_info')})"
            },
            "stat",
        ),
        Panel(
            "Scrape duration",
            "s",
            "More than 0.5 s: the process does not get enough CPU, or the network is slow.",
            {"{{instance}}": gauge("scrape_duration_seconds")},
        ),
        Panel(
            "Samples per scrape",
            "none",
            "Depends only on the number of assigned partitions. Growth: a label has too many values, open an issue.",
            {"{{instance}}": gauge("scrape_samples_scraped")},
            width=12,
        ),
        Panel(
            "Up",
            "bool_yes_no",
            "No: Prometheus cannot scrape the instance, see docs/runbooks/detector-down.md.",
            {"{{instance}}": gauge("up")},
            width=12,
        ),
    ),
}

DASHBOARD = Dashboard(
    "detector-internals",
    "Detector internals",
    "Batches, the Kafka client, the process, and the model that is loaded.",
    _ROWS,
)
