"""Every log line of the service: a stable event name, its level and text, what it means and what to do.

`docs/reference/log-events.md` is generated from this list. Names are stable: alerts, runbooks and log queries use them.
"""

from detector.process.log_event import LogEvent

_STREAM, _MODEL, _HTTP = "detector.stream", "detector.model", "detector.http"
_NOTHING = "Nothing."
_BROKERS = "Check the brokers, and see runbook detector-paused."
_NO_BROKERS = "Do not restart the service. Run `detector check --connect`, and see runbook detector-no-progress."

# The life of the service.
SETTING_IGNORED = LogEvent(
    "setting_ignored",
    "warning",
    "Setting has no effect",
    "At the start of a command, for each variable, secret and setting that seems to be meant for it but has no effect.",
    "Correct or remove it, as `reason` says. A variable of another program may stay.",
)
SERVICE_STARTING = LogEvent(
    "service_starting",
    "info",
    "Detector starting",
    "First line of the service; `http` is the address of its metrics.",
    _NOTHING,
)
WAITING_FOR_KAFKA = LogEvent(
    "waiting_for_kafka",
    "warning",
    "Waiting for Kafka",
    "During the start, while no broker can be reached or a topic does not exist; `reason` says which. Logged at once, "
    "when the reason changes, and every 60 s.",
    "Start the brokers, correct DETECTOR_KAFKA__BOOTSTRAP_SERVERS or create the topics, as `reason` says. The start "
    "then continues by itself.",
)
CONNECTED_TO_KAFKA = LogEvent(
    "connected_to_kafka",
    "info",
    "Connected to Kafka; all topics exist",
    "Once during the start. Fields: brokers, events topic, consumer group, client and delivery guarantee.",
    _NOTHING,
)
SERVICE_STOPPED_BEFORE_CONNECTING = LogEvent(
    "service_stopped_before_connecting",
    "info",
    "Detector stopped before it connected to Kafka",
    "A stop signal arrived during the start.",
    _NOTHING,
)
SHUTDOWN_TIMED_OUT = LogEvent(
    "shutdown_timed_out",
    "warning",
    "Shutdown timed out before the last batch was delivered; the batch will be read again after the next start",
    "The last batch was not delivered within DETECTOR_SHUTDOWN__TIMEOUT_S, usually because brokers were unavailable. "
    "Its offsets are not committed.",
    "Nothing: no event is lost. If it happens often, raise DETECTOR_SHUTDOWN__TIMEOUT_S.",
)
SERVICE_STOPPING = LogEvent(
    "service_stopping",
    "info",
    "Stop signal received; finishing the current batch",
    "A stop signal was received. The current batch is finished and committed within DETECTOR_SHUTDOWN__TIMEOUT_S.",
    _NOTHING,
)
SERVICE_STOPPED = LogEvent(
    "service_stopped",
    "info",
    "Detector stopped",
    "Last line after a stop signal; `consumed` is the number of records that were processed since the start.",
    _NOTHING,
)
SERVICE_FAILED = LogEvent(
    "service_failed",
    "error",
    "Detector failed",
    "The service cannot continue and exits with `exit_code`; `error` says why.",
    "Do what `error` says. docs/reference/exit-codes.md explains `exit_code`.",
)
UNEXPECTED_ERROR = LogEvent(
    "unexpected_error",
    "error",
    "Unexpected error",
    "The service exits because of a bug; the line has the stack trace.",
    "Report the bug with this line.",
)
MAIN_LOOP_STALLED = LogEvent(
    "main_loop_stalled",
    "error",
    "Main loop has made no progress; the stacks of all threads are in this line",
    "No step of the main loop finished for 30 s. After 60 s `/healthz` returns 503.",
    "Save the line for a bug report; see runbook detector-no-progress.",
)

# Consumer group and offsets.
PARTITIONS_ASSIGNED = LogEvent(
    "partitions_assigned",
    "info",
    "Partitions assigned",
    "A rebalance gave this instance the partitions in `partitions`; `now_assigned` is the number that it has now.",
    _NOTHING,
    _STREAM,
)
PARTITIONS_REVOKED = LogEvent(
    "partitions_revoked",
    "info",
    "Partitions revoked",
    "A rebalance gave partitions of this instance to other members, or this instance is stopping.",
    _NOTHING,
    _STREAM,
)
PARTITIONS_LOST = LogEvent(
    "partitions_lost",
    "warning",
    "Partitions lost; this instance was evicted from the consumer group and is joining it again",
    "The group coordinator received no heartbeat of this instance within the session timeout (10 s).",
    "Nothing if brokers were unavailable. Otherwise check whether the process was suspended or did not get enough CPU.",
    _STREAM,
)
COMMITTED_OFFSET_MISSING = LogEvent(
    "committed_offset_missing",
    "error",
    "Committed offset no longer exists; reading resumes at another offset, and some records may be skipped",
    "Retention deleted records before they were read, or the topic was recreated. Reading resumes at the `earliest` or "
    "`latest` offset, as `resumed_at` says.",
    "See runbook detector-offsets-reset.",
    _STREAM,
)
OFFSET_COMMIT_FAILED = LogEvent(
    "offset_commit_failed",
    "warning",
    "Offset commit failed; will retry with the next commit",
    "Brokers were unavailable, or the consumer group was rebalancing.",
    "Nothing if it is rare; otherwise see runbook detector-commit-failures.",
    _STREAM,
)
STALE_MEMBER_NOT_REMOVED = LogEvent(
    "stale_member_not_removed",
    "warning",
    "Could not remove this instance's old group membership; it expires at the session timeout",
    "With librdkafka, this instance joined the consumer group again after an outage, and the group still has its old "
    "membership too.",
    "Nothing. This instance gets its partitions up to 10 s later.",
    _STREAM,
)

# Brokers and delivery.
BROKERS_NOT_RESPONDING = LogEvent(
    "brokers_not_responding",
    "warning",
    "Kafka brokers are not responding",
    "No broker has answered a request for 10 s. The service keeps trying, and no event is lost.",
    _NO_BROKERS,
    _STREAM,
)
BROKERS_STILL_NOT_RESPONDING = LogEvent(
    "brokers_still_not_responding",
    "warning",
    "Kafka brokers are still not responding",
    "Every 60 s until the brokers respond.",
    _NO_BROKERS,
    _STREAM,
)
BROKERS_RECOVERED = LogEvent(
    "brokers_recovered",
    "info",
    "Kafka brokers are responding again",
    "The outage that `brokers_not_responding` reported is over; `waited_s` is its duration.",
    _NOTHING,
    _STREAM,
)
DELIVERY_WAITING = LogEvent(
    "delivery_waiting",
    "warning",
    "Waiting for acknowledgements; reading is paused",
    "Alerts and dead letters were not acknowledged within 1 s.",
    "Nothing if `delivery_recovered` follows within a minute. Otherwise check the brokers, and see runbook "
    "detector-paused.",
    _STREAM,
)
DELIVERY_STILL_WAITING = LogEvent(
    "delivery_still_waiting",
    "warning",
    "Still waiting for acknowledgements; reading is paused",
    "Every 60 s until the acknowledgements arrive.",
    _BROKERS,
    _STREAM,
)
DELIVERY_RECOVERED = LogEvent(
    "delivery_recovered",
    "info",
    "Acknowledgements received; reading resumed",
    "The wait that `delivery_waiting` reported is over; `waited_s` is its duration.",
    _NOTHING,
    _STREAM,
)
RECORDS_REJECTED = LogEvent(
    "records_rejected",
    "warning",
    "Broker rejected records; retrying",
    "A broker did not accept alerts or dead letters for the topic in `topic`; `error` is its reason.",
    "Look up `error` in runbook detector-delivery-failures.",
    _STREAM,
)
RECORDS_STILL_REJECTED = LogEvent(
    "records_still_rejected",
    "warning",
    "Broker is still rejecting records; retrying",
    "Every 60 s until the records are accepted.",
    "See runbook detector-delivery-failures.",
    _STREAM,
)
RECORDS_ACCEPTED = LogEvent(
    "records_accepted",
    "info",
    "Broker accepts records again",
    "The records that `records_rejected` reported were accepted; `waited_s` is the time until then.",
    _NOTHING,
    _STREAM,
)
TRANSACTION_ABORTED = LogEvent(
    "transaction_aborted",
    "warning",
    "Transaction aborted; its batch will be read again",
    "With exactly-once, a transaction failed, so its alerts, dead letters and offsets are discarded. `reason` says "
    "why: brokers unavailable, a rebalance, a rejected record, or a fenced producer.",
    "Nothing if it is rare; otherwise see runbook detector-commit-failures.",
    _STREAM,
)
TRANSACTIONS_STILL_ABORTED = LogEvent(
    "transactions_still_aborted",
    "warning",
    "Transactions are still being aborted; the same batch will be read again",
    "Every 60 s until a transaction is committed.",
    "See runbook detector-commit-failures.",
    _STREAM,
)
TRANSACTIONS_RECOVERED = LogEvent(
    "transactions_recovered",
    "info",
    "Transactions are being committed again",
    "The first transaction after `transaction_aborted` was committed.",
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

# Records that are no events.
RECORDS_DEAD_LETTERED = LogEvent(
    "records_dead_lettered",
    "warning",
    "Invalid records were written to the dead-letter topic",
    "For the first invalid records after a start, and then at most once a minute. `records` is their number since the "
    "last such line; `reason`, `detail` and `place` (topic-partition@offset) are of one with their commonest reason.",
    "Correct the program that writes these records, or the setting that names the events topic; `detector dead-letter "
    "show` lists all of them.",
)

# The model.
MODEL_LOADED = LogEvent(
    "model_loaded",
    "info",
    "Model loaded",
    "During the start, and after each successful reload, even if it is the same version again.",
    _NOTHING,
    _MODEL,
)
MODEL_REJECTED = LogEvent(
    "model_rejected",
    "error",
    "New model rejected; still using the current model. Do not restart before the model is fixed",
    "After a change of the model folder or SIGHUP, the new model is incomplete, damaged or incompatible; `reason` says "
    "what is wrong.",
    "See runbook detector-model-refused.",
    _MODEL,
)

# HTTP, at level debug.
HTTP_REQUEST = LogEvent("http_request", "debug", "HTTP request", "For each request to the HTTP port.", _NOTHING, _HTTP)
HTTP_CLIENT_DISCONNECTED = LogEvent(
    "http_client_disconnected",
    "debug",
    "HTTP client disconnected",
    "A client closed its connection before it received the answer, as TCP health checks do.",
    _NOTHING,
    _HTTP,
)

LOG_EVENTS = tuple(event for event in list(globals().values()) if isinstance(event, LogEvent))
"""All of them, in the order above."""
