"""The cost of the daemon's features: runs with and without each feature, in rounds."""

from benchmarks.results import Section
from benchmarks.rounds import Case, rows, run_rounds
from benchmarks.systems import System, detector
from benchmarks.testbed import Testbed

BASELINE = "default"
CODECS = ("gzip", "lz4", "zstd")
_FULL_OF_ALERTS = 5
"""A suspicious event costs many times more than a benign event: with 100 % alerts, a fifth of the events is enough."""


def features(testbed: Testbed, total: int, repetitions: int, limit_s: float) -> Section:
    """Engine, guarantee, TLS, codec of the events topic and share of alerts; rates are relative to the default."""
    plain = testbed.backlog(total)
    baseline = detector(name=BASELINE)
    pairs = [
        (baseline, plain),
        *((system, plain) for system in _variants(testbed)),
        *((detector(name=f"events in {codec}"), testbed.backlog(total, codec=codec)) for codec in CODECS),
        (detector(name="10 % alerts"), testbed.backlog(total, every=10)),
        (detector(name="100 % alerts"), testbed.backlog(total // _FULL_OF_ALERTS, every=1)),
    ]
    cases = [Case(system, backlog, limit_s) for system, backlog in pairs]
    results = run_rounds(testbed, "features", cases, repetitions)
    return Section(
        "features",
        "Cost of each feature; default: kafka-python, torch, at-least-once, 1 % alerts",
        rows(results, BASELINE),
        results.excluded,
    )


def _variants(testbed: Testbed) -> list[System]:
    tls = {
        "DETECTOR_KAFKA__BOOTSTRAP_SERVERS": testbed.tls_bootstrap_servers,
        "DETECTOR_KAFKA__SECURITY_PROTOCOL": "SSL",
        "DETECTOR_KAFKA__SSL_CAFILE": str(testbed.ca_file),
    }
    return [
        detector(engine="numpy", name="numpy engine"),
        detector(guarantee="exactly-once", name="exactly-once"),
        detector(name="TLS", **tls),
    ]
