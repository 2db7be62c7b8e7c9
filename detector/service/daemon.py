"""The daemon's life: start, loop, drain, stop."""

import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import structlog

from detector import __version__
from detector.alerts.severity import SEVERITIES
from detector.errors import DetectorError
from detector.events.second_opinion import REASONS
from detector.logs import toggle_debug
from detector.metrics import Metrics
from detector.service.health import Health
from detector.service.http import HttpServer
from detector.service.limits import DeadLetterLimits
from detector.service.pipeline import Pipeline
from detector.service.reload import ModelKeeper
from detector.service.reporter import Reporter
from detector.service.signals import Stop, call_on, stop_on_signals
from detector.service.step import BatchStep
from detector.service.systemd import notify
from detector.service.watchdog import watch
from detector.settings import Guarantee, KafkaSettings, Settings
from detector.stream.connect import Wait, open_stream
from detector.stream.delivery import Delivery, DeliveryAbandoned, delivery_over
from detector.stream.interfaces import Listener, Sink, Source, TransactionalSink

_log = structlog.get_logger("detector")

_IDLE_S = 0.5
_LOOK_AGAIN_S = 0.5
_REPEAT_WAITING_S = 5.0
_LOOK_EVERY_S = 1.0
_GC_EVERY_S = 2.0
"""kafka-python leaves up to 10 MB of cycles behind in 10 s, when each batch is small."""
_CLOSE_S = 3.0
_CLOSE_AT_LEAST_S = 0.2
"""Even after a drain that took all its time: the group is told, so that others take over at once."""

OpenStream = Callable[[KafkaSettings, Guarantee, Listener, Wait], tuple[Source, Sink | TransactionalSink]]


class _StoppedWhileWaiting(Exception):  # noqa: N818 - asked for
    pass


class Daemon:
    """Reads, scores, delivers, commits; one thread, at most one batch on its way while the next one is read.

    Args:
        settings: everything that can be chosen.
        open_stream: makes the source and the sink.
    """

    def __init__(self, settings: Settings, open_stream: OpenStream = open_stream) -> None:
        self._settings = settings
        self._open_stream = open_stream
        self._stop = Stop(lambda: notify("STOPPING=1"))
        self._last_waiting_log = float("-inf")
        self._next_gc = time.monotonic()
        self.health = Health()
        self.metrics = Metrics(client=settings.kafka.client, severities=SEVERITIES, reject_reasons=REASONS)
        self._reporter = Reporter(settings.kafka, self.metrics, self.health)

    def run(self) -> None:
        """Run until a signal.

        Raises:
            DetectorError: it could not start, or cannot go on; the exit code is the error's.
        """
        try:
            self._run()
        except DetectorError as error:
            _log.error("detector failed", error=str(error), cause=repr(error.__cause__))
            raise

    def _run(self) -> None:
        http = self._settings.http
        with (
            stop_on_signals(self._stop),
            call_on(signal.SIGUSR1, lambda: toggle_debug(self._settings.log.level)),
            call_on(signal.SIGHUP, lambda: None),  # until there is a model to load again it asks for nothing
            HttpServer(http.host, http.port, self.metrics.registry, self.health) as server,
            watch(self.health),
        ):
            _log.info(
                "detector starts",
                version=__version__,
                http=f"http://{http.host}:{server.port}/metrics",
                port=server.port,
            )
            model = ModelKeeper(self._settings.model, self.metrics)
            notify("READY=1")  # it waits for Kafka by itself: whoever starts it need not
            self.metrics.last_progress.set_to_current_time()  # as far as it has come
            with call_on(signal.SIGHUP, model.ask):
                try:
                    source, sink = self._open_stream(
                        self._settings.kafka, self._settings.delivery.guarantee, self._reporter, self._wait
                    )
                except _StoppedWhileWaiting:
                    _log.info("detector stopped before it reached Kafka")
                    return
                self.health.not_ready_because = "no partitions are assigned yet"
                self._serve(model, source, sink)

    def stop(self) -> None:
        """Ask for the stop, as a signal does."""
        self._stop.request()

    def _serve(self, model: ModelKeeper, source: Source, sink: Sink | TransactionalSink) -> None:
        delivery = delivery_over(source, sink, self._reporter, self._alive)
        try:
            with collected_by_hand():
                self._loop(model, source, delivery)
        except DeliveryAbandoned:
            _log.warning("stopped before the last batch was delivered; it is not committed and will be read again")
        finally:
            self.health.not_ready_because = "stopping"
            delivery.finish(self._closing_s())
            source.close(self._closing_s())
            sink.close(self._closing_s())
        _log.info("detector stopped", consumed=int(self.metrics.value("detector_records_consumed_total")))

    def _loop(self, model: ModelKeeper, source: Source, delivery: Delivery) -> None:
        limits = self._settings.batch
        step = BatchStep(self._settings.kafka, model.scorer, DeadLetterLimits(self._settings.dead_letter))
        wait_s = limits.max_wait_ms / 1000
        pipeline = Pipeline(
            step,
            delivery,
            self.metrics,
            full=limits.max_records,
            idle_s=_IDLE_S,
            busy_s=wait_s,
            give_up=self._give_up,
        )
        read = partial(source.poll, limits.max_records, wait_s)
        next_look = time.monotonic()
        while not self._stop:
            if model.refresh():
                step.use(model.scorer)
            went_on = pipeline.turn(read)
            self._alive()
            if went_on and not self._reporter.brokers_are_silent:  # then nobody knows whether the topic is empty
                self.metrics.last_progress.set_to_current_time()
            now = time.monotonic()
            if now >= next_look:
                self._reporter.lag(source.lag())
                self._reporter.silence(source.silent_s())
                next_look = now + _LOOK_EVERY_S
        pipeline.settle()

    def _alive(self) -> None:
        """Also called while a delivery waits, for hours when the brokers are away."""
        self.health.sign_of_life()
        self._reporter.still_waiting()
        if time.monotonic() >= self._next_gc:
            gc.collect()
            self._next_gc = time.monotonic() + _GC_EVERY_S

    def _give_up(self) -> bool:
        return self._drain_left_s() <= 0

    def _drain_left_s(self) -> float:
        """How much of the drain's time is left; all of it while nobody asked for the stop."""
        return self._settings.shutdown.timeout_s - self._stop.seconds_since()

    def _closing_s(self) -> float:
        """How long one step of the closing may take."""
        return max(_CLOSE_AT_LEAST_S, min(_CLOSE_S, self._drain_left_s()))

    def _wait(self, reason: str) -> None:
        """Wait for something that is missing, saying so every few seconds."""
        self.health.sign_of_life()
        self.health.not_ready_because = reason
        now = time.monotonic()
        if now - self._last_waiting_log >= _REPEAT_WAITING_S:
            self._last_waiting_log = now
            _log.warning("waiting", reason=reason)
        if self._stop.wait(_LOOK_AGAIN_S):
            raise _StoppedWhileWaiting


@contextmanager
def collected_by_hand() -> Iterator[None]:
    """Take garbage collection out of the batches.

    The loop's records and events are freed by their reference counts; automatic collections only walk over them. What
    cycles the client library makes are collected every few seconds.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
