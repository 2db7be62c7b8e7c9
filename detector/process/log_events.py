"""Every log line of the service: a stable event name, its level and text, what it means and what to do.

`docs/reference/log-events.md` is generated from this list. Names are stable: alerts, runbooks and log queries use them.
"""

from dataclasses import dataclass
from typing import Any

import structlog

from detector.process.logs import LogLevel


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One kind of log line: its name, level and text, and what the reader should know about it."""

    name: str
    """Stable, in snake_case: the attribute `event` of the line."""
    level: LogLevel
    text: str
    meaning: str
    """When the line is written."""
    action: str
    """What the reader should do."""
    logger: str = "detector"

    def log(self, **fields: Any) -> None:
        """Write the line with these fields."""
        getattr(structlog.get_logger(self.logger), self.level)(self.text, event_name=self.name, **fields)


_STREAM, _MODEL, _HTTP = "detector.stream", "detector.model", "detector.http"
_NOTHING = "Nothing."
_BROKERS = "Check the brokers; runbook detector-paused."

# The life of the service.
SERVICE_STARTING = LogEvent(
    "service_starting", "info", "Detector starting", "At the start; `http` is the address of the metrics.", _NOTHING
)
WAITING_FOR_KAFKA = LogEvent(
    "waiting_for_kafka",
    "warning",
    "Waiting for Kafka",
    "Every 5 s during the start while brokers are unreachable or topics do not exist; `reason` says which.",
    "Do what `reason` says.",
)
CONNECTED_TO_KAFKA = LogEvent(
    "connected_to_kafka",
    "info",
    "Connected to Kafka; all topics exist",
    "Once at the start. The line names the brokers, the topic, the consumer group and the delivery guarantee.",
    _NOTHING,
)
SERVICE_STOPPED_BEFORE_CONNECTING = LogEvent(
    "service_stopped_before_connecting",
    "info",
    "Detector stopped before it connected to Kafka",
    "After a stop signal during the start.",
    _NOTHING,
)
SHUTDOWN_TIMED_OUT = LogEvent(
    "shutdown_timed_out",
    "warning",
    "Shutdown timed out before the last batch was delivered; its offsets are not committed and it will be read again",
    "The drain took longer than DETECTOR_SHUTDOWN__TIMEOUT_S, mostly because brokers were unavailable.",
    "Nothing: no event is lost. If it happens often, raise DETECTOR_SHUTDOWN__TIMEOUT_S.",
)
SERVICE_STOPPED = LogEvent(
    "service_stopped",
    "info",
    "Detector stopped",
    "At the end; `consumed` is the number of records since the start.",
    _NOTHING,
)
SERVICE_FAILED = LogEvent(
    "service_failed",
    "error",
    "Detector failed",
    "The service cannot continue and exits; `error` says why, and docs/reference/exit-codes.md what the code means.",
    "Do what `error` says.",
)
UNEXPECTED_ERROR = LogEvent(
    "unexpected_error",
    "error",
    "Unexpected error",
    "A bug: the exception's traceback is in the line.",
    "Report it with the traceback.",
)
MAIN_LOOP_STALLED = LogEvent(
    "main_loop_stalled",
    "error",
    "Main loop has made no progress; the stacks of all threads are in this line",
    "No step of the main loop finished for 30 s; `/healthz` fails after 60 s.",
    "Keep the line for a bug report; runbook detector-no-progress.",
)

# Consumer group and offsets.
PARTITIONS_ASSIGNED = LogEvent(
    "partitions_assigned", "info", "Partitions assigned", "After each rebalance.", _NOTHING, _STREAM
)
PARTITIONS_REVOKED = LogEvent(
    "partitions_revoked",
    "info",
    "Partitions revoked",
    "A rebalance moved partitions to other members, or this instance is stopping.",
    _NOTHING,
    _STREAM,
)
PARTITIONS_LOST = LogEvent(
    "partitions_lost",
    "warning",
    "Partitions lost; the session with the group coordinator expired, joining the group again",
    "No heartbeat reached the group coordinator within the session timeout (10 s).",
    "Nothing if brokers were unavailable. Otherwise check whether the process was suspended or starved of CPU.",
    _STREAM,
)
COMMITTED_OFFSET_MISSING = LogEvent(
    "committed_offset_missing",
    "error",
    "Committed offset no longer exists; reading resumes elsewhere, some records may be skipped",
    "Retention deleted records before they were read, or the topic was recreated.",
    "Runbook detector-offsets-reset.",
    _STREAM,
)
OFFSET_COMMIT_FAILED = LogEvent(
    "offset_commit_failed",
    "warning",
    "Offset commit failed; will retry with the next commit",
    "Brokers were unavailable or the group was rebalancing.",
    "Nothing if it is rare; otherwise runbook detector-commit-failures.",
    _STREAM,
)
STALE_MEMBER_NOT_REMOVED = LogEvent(
    "stale_member_not_removed",
    "warning",
    "Could not remove the stale group member; it leaves at its session timeout",
    "With librdkafka, after an outage longer than the session timeout.",
    "Nothing. This instance gets its partitions up to 10 s later.",
    _STREAM,
)

# Brokers and delivery.
BROKERS_NOT_RESPONDING = LogEvent(
    "brokers_not_responding", "warning", "Kafka brokers are not responding", "No answer for 10 s.", _BROKERS, _STREAM
)
BROKERS_STILL_NOT_RESPONDING = LogEvent(
    "brokers_still_not_responding",
    "warning",
    "Kafka brokers are still not responding",
    "Every 60 s until they respond.",
    _BROKERS,
    _STREAM,
)
BROKERS_RECOVERED = LogEvent(
    "brokers_recovered",
    "info",
    "Kafka brokers are responding again",
    "After `brokers_not_responding`.",
    _NOTHING,
    _STREAM,
)
DELIVERY_WAITING = LogEvent(
    "delivery_waiting",
    "warning",
    "Waiting for acknowledgements; reading is paused",
    "Alerts and dead letters were not acknowledged within 1 s.",
    "Nothing if `delivery_recovered` follows within a minute; otherwise check the brokers; runbook detector-paused.",
    _STREAM,
)
DELIVERY_STILL_WAITING = LogEvent(
    "delivery_still_waiting",
    "warning",
    "Still waiting for acknowledgements; reading is paused",
    "Every 60 s until they arrive.",
    _BROKERS,
    _STREAM,
)
DELIVERY_RECOVERED = LogEvent(
    "delivery_recovered",
    "info",
    "Acknowledgements received; reading resumed",
    "After `delivery_waiting`.",
    _NOTHING,
    _STREAM,
)
RECORDS_REJECTED = LogEvent(
    "records_rejected",
    "warning",
    "Broker rejected records; retrying",
    "A topic did not accept alerts or dead letters; `error` is the broker's reason.",
    "Look up `error` and `topic` in runbook detector-delivery-failures.",
    _STREAM,
)
RECORDS_STILL_REJECTED = LogEvent(
    "records_still_rejected",
    "warning",
    "Broker is still rejecting records; retrying",
    "Every 60 s until they are accepted.",
    "Runbook detector-delivery-failures.",
    _STREAM,
)
RECORDS_ACCEPTED = LogEvent(
    "records_accepted", "info", "Broker accepts records again", "After `records_rejected`.", _NOTHING, _STREAM
)
TRANSACTION_ABORTED = LogEvent(
    "transaction_aborted",
    "warning",
    "Transaction aborted; its batch will be read again",
    "With exactly-once, a transaction failed; `reason` says why: brokers unavailable, a rebalance, a rejected record, "
    "or a fenced producer.",
    "Nothing if it is rare; otherwise runbook detector-commit-failures.",
    _STREAM,
)
TRANSACTIONS_STILL_ABORTED = LogEvent(
    "transactions_still_aborted",
    "warning",
    "Transactions are still being aborted; the same batch will be read again",
    "Every 60 s until a transaction is committed.",
    "Runbook detector-commit-failures.",
    _STREAM,
)
TRANSACTIONS_RECOVERED = LogEvent(
    "transactions_recovered",
    "info",
    "Transactions are being committed again",
    "After `transaction_aborted`.",
    _NOTHING,
    _STREAM,
)
PRODUCER_START_FAILED = LogEvent(
    "producer_start_failed",
    "warning",
    "Cannot start a transactional producer; will retry",
    "With exactly-once, every 60 s while the transaction coordinator is unavailable.",
    _BROKERS,
    _STREAM,
)

# The model.
MODEL_LOADED = LogEvent("model_loaded", "info", "Model loaded", "At the start and after each reload.", _NOTHING, _MODEL)
MODEL_REJECTED = LogEvent(
    "model_rejected",
    "error",
    "New model rejected; still using the current model",
    "A reload found a model folder that is incomplete, damaged or incompatible; `reason` says what is wrong.",
    "Runbook detector-model-refused.",
    _MODEL,
)

# HTTP, at level debug.
HTTP_REQUEST = LogEvent("http_request", "debug", "HTTP request", "Each request.", _NOTHING, _HTTP)
HTTP_CLIENT_DISCONNECTED = LogEvent(
    "http_client_disconnected",
    "debug",
    "HTTP client disconnected",
    "A client closed its connection before it was answered, as TCP health checks do.",
    _NOTHING,
    _HTTP,
)

LOG_EVENTS = tuple(event for event in list(globals().values()) if isinstance(event, LogEvent))
"""All of them, in the order above."""
