"""What each feature costs: the daemon with it and without it, in turn."""

from benchmarks.contestants import Contestant, detector
from benchmarks.results import Section
from benchmarks.rounds import Case, in_rounds, rows
from benchmarks.scene import Scene

BASE = "as it comes"
CODECS = ("gzip", "lz4", "zstd")
_FULL_OF_ALERTS = 5
"""All suspicious, an event costs many times more: a fifth of the events will do."""


def features(scene: Scene, total: int, repetitions: int, limit_s: float) -> Section:
    """Guarantee, engine, TLS, the codec of the events topic, the share of alerts; relative to none of them."""
    plain = scene.backlog(total)
    base = detector(name=BASE)
    pairs = [
        (base, plain),
        *((contestant, plain) for contestant in _variants(scene)),
        *((detector(name=f"events in {codec}"), scene.backlog(total, codec=codec)) for codec in CODECS),
        (detector(name="10 % alerts"), scene.backlog(total, every=10)),
        (detector(name="100 % alerts"), scene.backlog(total // _FULL_OF_ALERTS, every=1)),
    ]
    cases = [Case(contestant, backlog, limit_s) for contestant, backlog in pairs]
    outcome = in_rounds(scene, "features", cases, repetitions)
    return Section(
        "features",
        "The daemon (kafka-python, torch, at-least-once, 1 % alerts) and what each feature costs it",
        rows(outcome, BASE),
        outcome.left_out,
    )


def _variants(scene: Scene) -> list[Contestant]:
    tls = {
        "DETECTOR_KAFKA__BOOTSTRAP_SERVERS": scene.tls_servers,
        "DETECTOR_KAFKA__SECURITY_PROTOCOL": "SSL",
        "DETECTOR_KAFKA__SSL_CAFILE": str(scene.authority),
    }
    return [
        detector(engine="numpy", name="numpy engine"),
        detector(guarantee="exactly-once", name="exactly-once"),
        detector(name="TLS", **tls),
    ]
