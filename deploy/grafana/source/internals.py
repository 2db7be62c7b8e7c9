"""*Detector internals*: batches, the Kafka client, the process, and the model that is loaded."""

from deploy.grafana.source.panels import Dashboard, Panel, gauge, mean, quantile, rate

_ROWS: dict[str, tuple[Panel, ...]] = {
    "Batches": (
        Panel(
            "Time by stage",
            "percentunit",
            "Share of the time that an instance spends in each stage, as the average of the instances. If `decode`,"
            " `score` and `deliver` add up to nearly 100 %, the main loop is at its limit: add an instance. If only"
            " `deliver` grows, the brokers are slow to acknowledge. `commit` runs while the next batch is processed, so"
            " all stages together can exceed 100 %.",
            {"{{stage}}": f"avg by (stage) (rate({gauge('detector_stage_duration_seconds_sum')}[$__rate_interval]))"},
        ),
        Panel(
            "Stage duration, p99",
            "s",
            "Time that 99 % of the batches do not exceed. If `decode` or `score` grows but *Records per batch* does"
            " not, another process uses the same CPU. If `deliver` or `commit` grows, look at the brokers.",
            {"{{stage}}": quantile(0.99, "detector_stage_duration_seconds", "stage")},
        ),
        Panel(
            "Records per batch",
            "short",
            "If batches always have DETECTOR_BATCH__MAX_RECORDS records, the instance is at its limit: look at the lag."
            " Small batches mean little load, and need no action.",
            {
                "mean": mean("detector_batch_records"),
                "p50": quantile(0.5, "detector_batch_records"),
                "p99": quantile(0.99, "detector_batch_records"),
            },
        ),
        Panel(
            "Batches per second",
            "ops",
            "If this is 0 and there is a lag, see docs/runbooks/detector-no-progress.md.",
            {"{{instance}}": rate("detector_batches_total", "instance")},
        ),
        Panel(
            "Time since last progress",
            "s",
            "Time since the instance finished a batch or found nothing to read. If this is minutes, see"
            " docs/runbooks/detector-no-progress.md.",
            {"{{instance}}": f"time() - {gauge('detector_last_progress_timestamp_seconds')}"},
        ),
        Panel(
            "Reading paused",
            "bool_yes_no",
            "An instance pauses reading while its alerts or dead letters are not acknowledged. If it pauses for more"
            " than a few seconds, see docs/runbooks/detector-paused.md.",
            {"{{instance}}": gauge("detector_paused")},
        ),
    ),
    "Kafka": (
        Panel(
            "Commits per second",
            "ops",
            "A rare failure is harmless, because the next commit includes its offsets. If failures continue, see"
            " docs/runbooks/detector-commit-failures.md.",
            {
                "succeeded": rate("detector_commits_total"),
                "failed": rate("detector_commit_failures_total"),
            },
        ),
        Panel(
            "Rebalances in 10 minutes",
            "short",
            "If this is not 0 although no instance was started or stopped, see docs/runbooks/detector-rebalancing.md.",
            {"{{kind}}": f"sum by (kind) (increase({gauge('detector_rebalances_total')}[10m]))"},
        ),
        Panel(
            "Assigned partitions",
            "none",
            "If an instance has 0, there are more instances than partitions, or the instance is not a member of the"
            " consumer group. Its /readyz says which.",
            {"{{instance}}": gauge("detector_assigned_partitions")},
        ),
        Panel(
            "Rejected records per second by topic",
            "eps",
            "Alerts and dead letters that Kafka did not accept. If this is above 0, see"
            " docs/runbooks/detector-delivery-failures.md.",
            {"{{topic}}": rate("detector_delivery_failures_total", "topic")},
            width=12,
        ),
        Panel(
            "Offset resets in 1 hour",
            "none",
            "If this is above 0, a committed offset no longer existed, and records may have expired before they were"
            " read: see docs/runbooks/detector-offsets-reset.md.",
            {"{{instance}}": f"increase({gauge('detector_offset_resets_total')}[1h])"},
            width=12,
        ),
    ),
    "Process": (
        Panel(
            "CPU",
            "percentunit",
            "100 % is one core, and an instance cannot use more. If an instance is near 100 %, add another one.",
            {"{{instance}}": rate("process_cpu_seconds_total", "instance")},
        ),
        Panel(
            "Memory",
            "bytes",
            "Memory should be constant after some minutes. If it grows for hours, there is a leak: note the version and"
            " open an issue.",
            {"{{instance}}": gauge("process_resident_memory_bytes")},
        ),
        Panel(
            "Garbage collections per second",
            "ops",
            "The main loop starts a garbage collection every 2 s, so 0.5 per second in generation 2 is normal, and less"
            " when a batch takes longer than 2 s. If there are more, or in another generation, Python's automatic"
            " garbage collection was switched on.",
            {"{{instance}}, generation {{generation}}": rate("python_gc_collections_total", "instance, generation")},
        ),
        Panel(
            "Objects freed by garbage collection per second",
            "ops",
            "If this grows, each batch leaves objects that only garbage collection can free (reference cycles): note"
            " the version and open an issue.",
            {"generation {{generation}}": rate("python_gc_objects_collected_total", "generation")},
        ),
        Panel(
            "Open file descriptors",
            "none",
            "This should be constant. If it grows, sockets are not closed: note the version and open an issue.",
            {
                "{{instance}}": gauge("process_open_fds"),
                "{{instance}}, limit": gauge("process_max_fds"),
            },
        ),
        Panel(
            "Process started",
            "dateTimeFromNow",
            "If this is just now although nobody deployed, the instance was restarted: the last log lines before that"
            " say why.",
            {"{{instance}}": f"{gauge('process_start_time_seconds')} * 1000"},
            "stat",
        ),
    ),
    "Model, build and scrapes": (
        Panel(
            "Model reloads in 1 hour",
            "none",
            "If `refused` is above 0, a new model was rejected: see docs/runbooks/detector-model-refused.md.",
            {"{{result}}": f"sum by (result) (increase({gauge('detector_model_reloads_total')}[1h]))"},
        ),
        Panel(
            "Build",
            "none",
            "If there is more than one build and no deployment is running, some instances were not upgraded.",
            {
                "{{version}}, Python {{python}}, {{client}}": "count by (version, python, client)"
                f" ({gauge('detector_build_info')})"
            },
            "stat",
        ),
        Panel(
            "Scrape duration",
            "s",
            "If a scrape takes more than 0.5 s, the process does not get enough CPU, or the network is slow.",
            {"{{instance}}": gauge("scrape_duration_seconds")},
        ),
        Panel(
            "Samples per scrape",
            "none",
            "This depends only on the number of assigned partitions. If it grows without new partitions, a label has"
            " too many values: open an issue.",
            {"{{instance}}": gauge("scrape_samples_scraped")},
            width=12,
        ),
        Panel(
            "Up",
            "bool_yes_no",
            "If this is No, Prometheus cannot scrape the instance: see docs/runbooks/detector-down.md.",
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
