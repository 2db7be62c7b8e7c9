"""The daemon: start, main loop, drain, stop."""

import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from detector import __version__
from detector.alerts.severity import SEVERITIES
from detector.errors import DetectorError
from detector.events.strict_decode import REASONS
from detector.metrics import Metrics
from detector.process import log_events
from detector.process.health import Health
from detector.process.http import HttpServer
from detector.process.logs import toggle_debug
from detector.process.signals import StopRequest, call_on, stop_on_signals
from detector.process.systemd import notify
from detector.process.watchdog import watch
from detector.service.dead_letter_log import DeadLetterLog
from detector.service.limits import DeadLetterLimits
from detector.service.outage import ReasonLog
from detector.service.pipeline import Pipeline
from detector.service.reload import ReloadableModel
from detector.service.reporter import Reporter
from detector.service.step import BatchStep
from detector.settings import Guarantee, KafkaSettings, Settings
from detector.stream.connect import Wait, client_of, open_stream
from detector.stream.delivery import Delivery, DeliveryAbandoned, delivery_for
from detector.stream.interfaces import Sink, Source, SourceListener, TransactionalSink

_IDLE_S = 0.5
_RETRY_S = 0.5
_CHECK_EVERY_S = 1.0
_GC_EVERY_S = 2.0
"""With small batches a client library may leave 10 MB of reference cycles in 10 s."""
_CLOSE_S = 3.0
_MIN_CLOSE_S = 0.2
"""Even after a drain that timed out, the member leaves its group, so that other members take over at once."""

OpenStream = Callable[[KafkaSettings, Guarantee, SourceListener, Wait], tuple[Source, Sink | TransactionalSink]]


class _StoppedWhileWaiting(Exception):  # noqa: N818 - requested
    pass


class Daemon:
    """Reads, scores, delivers, commits; one thread, at most one batch in flight while the next one is read.

    Args:
        settings: the settings of all groups.
        open_stream: connects to Kafka and returns the source and the sink.
    """

    def __init__(self, settings: Settings, open_stream: OpenStream = open_stream) -> None:
        self._settings = settings
        self._open_stream = open_stream
        self._stop = StopRequest(lambda: notify("STOPPING=1"))
        self._stop_logged = False
        self._waiting_log = ReasonLog(log_events.WAITING_FOR_KAFKA)
        self._next_gc_at = time.monotonic()
        self.health = Health()
        self.metrics = Metrics(client=settings.kafka.client, severities=SEVERITIES, dead_letter_reasons=REASONS)
        self._reporter = Reporter(settings.kafka, self.metrics, self.health)
        self._dead_letter_log = DeadLetterLog()

    def run(self) -> None:
        """Run until a stop signal.

        Raises:
            DetectorError: it could not start, or cannot continue; the error has the exit code.
        """
        with failures_logged():
            self._run()

    def _run(self) -> None:
        http = self._settings.http
        with (
            stop_on_signals(self._stop),
            call_on(signal.SIGUSR1, lambda: toggle_debug(self._settings.log.level)),
            call_on(signal.SIGHUP, lambda: None),  # ignored until there is a model to reload
            HttpServer(http.host, http.port, self.metrics.registry, self.health) as server,
            watch(self.health),
        ):
            log_events.SERVICE_STARTING.log(version=__version__, http=f"{server.url}/metrics", port=server.port)
            model = ReloadableModel(self._settings.model, self.metrics)
            notify("READY=1")  # it waits for Kafka by itself, so systemd need not
            self.metrics.last_progress.set_to_current_time()
            with call_on(signal.SIGHUP, model.request_reload):
                try:
                    source, sink = self._open_stream(
                        self._settings.kafka, self._settings.delivery.guarantee, self._reporter, self._wait
                    )
                except _StoppedWhileWaiting:
                    log_events.SERVICE_STOPPED_BEFORE_CONNECTING.log()
                    return
                self._log_connected()
                self.health.not_ready_reason = "no partitions assigned yet"
                self._run_connected(model, source, sink)

    def _log_connected(self) -> None:
        kafka = self._settings.kafka
        log_events.CONNECTED_TO_KAFKA.log(
            bootstrap_servers=kafka.bootstrap_servers,
            events_topic=kafka.events_topic,
            group_id=kafka.group_id,
            client=kafka.client,
            guarantee=self._settings.delivery.guarantee,
        )

    def stop(self) -> None:
        """Request the stop, as a signal does."""
        self._stop.request()

    def _run_connected(self, model: ReloadableModel, source: Source, sink: Sink | TransactionalSink) -> None:
        delivery = delivery_for(source, sink, self._reporter, self._note_sign_of_life)
        try:
            with manual_garbage_collection():
                self._loop(model, source, delivery)
        except DeliveryAbandoned:
            log_events.SHUTDOWN_TIMED_OUT.log()
        finally:
            self.health.not_ready_reason = "shutting down"
            delivery.finish(self._closing_s())
            source.close(self._closing_s())
            sink.close(self._closing_s())
        log_events.SERVICE_STOPPED.log(consumed=int(self.metrics.value("detector_records_consumed_total")))

    def _loop(self, model: ReloadableModel, source: Source, delivery: Delivery) -> None:
        limits = self._settings.batch
        step = BatchStep(self._settings.kafka, model.scorer, DeadLetterLimits(self._settings.dead_letter))
        wait_s = limits.max_wait_ms / 1000
        pipeline = Pipeline(
            step,
            delivery,
            self.metrics,
            full=limits.records,
            idle_s=_IDLE_S,
            busy_s=wait_s,
            give_up=self._drain_timed_out,
            on_dead_letters=self._dead_letter_log.add,
        )
        read = partial(source.poll, limits.records, wait_s)
        next_check_at = time.monotonic()
        while not self._stop:
            if model.refresh():
                step.use_scorer(model.scorer)
            progressed = pipeline.run_once(read)
            self._note_sign_of_life()
            # While brokers do not respond, an empty read does not mean that the topic is empty.
            if progressed and not self._reporter.brokers_not_responding:
                self.metrics.last_progress.set_to_current_time()
            now = time.monotonic()
            if now >= next_check_at:
                self._reporter.export_lag(source.lag())
                self._reporter.check_brokers(source.since_response_s())
                next_check_at = now + _CHECK_EVERY_S
        self._log_stop()
        pipeline.settle()

    def _log_stop(self) -> None:
        if self._stop and not self._stop_logged:
            self._stop_logged = True
            log_events.SERVICE_STOPPING.log()

    def _note_sign_of_life(self) -> None:
        """Called after each batch, and while a delivery waits: that may take hours."""
        self.health.sign_of_life()
        self._log_stop()
        self._reporter.log_reminders()
        self._dead_letter_log.log_if_due()
        if time.monotonic() >= self._next_gc_at:
            gc.collect()
            self._next_gc_at = time.monotonic() + _GC_EVERY_S

    def _drain_timed_out(self) -> bool:
        return self._drain_left_s() <= 0

    def _drain_left_s(self) -> float:
        """Seconds that are left for the drain; the whole timeout until a stop is requested."""
        return self._settings.shutdown.timeout_s - self._stop.seconds_since()

    def _closing_s(self) -> float:
        """Seconds that one step of the shutdown may take."""
        return max(_MIN_CLOSE_S, min(_CLOSE_S, self._drain_left_s()))

    def _wait(self, reason: str) -> None:
        """Wait for something that is missing, and say what."""
        self.health.sign_of_life()
        self.health.not_ready_reason = reason
        self._waiting_log.note(reason)
        if self._stop.wait(_RETRY_S):
            raise _StoppedWhileWaiting


def run_daemon(settings: Settings) -> None:
    """Prepare the process for the client library, and run the daemon until a stop signal.

    Raises:
        DetectorError: it could not start, or cannot continue; the error has the exit code.
    """
    with failures_logged():
        client_of(settings.kafka).tune_process()  # before the first thread starts
    Daemon(settings).run()


@contextmanager
def failures_logged() -> Iterator[None]:
    """Within the block, an error that ends the service is logged too."""
    try:
        yield
    except DetectorError as error:
        cause = {} if error.__cause__ is None else {"cause": repr(error.__cause__)}
        log_events.SERVICE_FAILED.log(error=str(error), exit_code=error.exit_code, **cause)
        raise


@contextmanager
def manual_garbage_collection() -> Iterator[None]:
    """Within the block, collect garbage between batches only.

    The main loop's records and events are freed by their reference counts, so automatic collections would only traverse
    them. The client library's reference cycles are collected every few seconds.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
