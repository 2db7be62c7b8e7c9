"""librdkafka's errors: which are fatal or retriable, and what they say to a person; and its rate-limited log."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from detector.errors import UsageError
from detector.stream.errors import fatal_error
from detector.stream.interfaces import UnavailableError

_REPEAT_S = 60.0

FATAL = frozenset(
    {
        KafkaError._FATAL,  # noqa: SLF001 - public: confluent-kafka's names for the library's own errors begin with _
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.FENCED_INSTANCE_ID,
    }
)
"""A retry cannot help: a person has to change something."""

UNREADABLE = frozenset(
    {
        KafkaError._BAD_COMPRESSION,  # noqa: SLF001
        KafkaError._BAD_MSG,  # noqa: SLF001
        KafkaError._NOT_IMPLEMENTED,  # noqa: SLF001
        KafkaError._CRIT_SYS_RESOURCE,  # noqa: SLF001
        KafkaError._INCONSISTENT,  # noqa: SLF001
    }
)
"""A batch of the topic that cannot be read; the library would skip it."""

FATAL_FOR_TRANSACTIONS = FATAL - {KafkaError._FATAL} | {  # noqa: SLF001 - fatal for one producer; it is replaced
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_MSG,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.POLICY_VIOLATION,
    KafkaError.UNSUPPORTED_VERSION,
}
"""No new transaction can help: a record that a topic never accepts, or a request that the brokers do not support."""

_RETRIABLE = frozenset(
    {
        KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._QUEUE_FULL,  # noqa: SLF001
        KafkaError._PURGE_QUEUE,  # noqa: SLF001
        KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
        KafkaError.UNKNOWN,  # the answer of a broker with a full disk
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.NOT_CONTROLLER,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)


def is_fatal(error: KafkaError) -> bool:
    """Whether sending the same record again with the same producer cannot help."""
    return error.fatal() or error.code() not in _RETRIABLE


@contextmanager
def translated_errors(servers: str) -> Iterator[None]:
    """Within the block, the library's errors become `UnavailableError` when waiting may help.

    Raises:
        UnavailableError: the brokers are unavailable.
        UsageError: the library rejects the settings.
        StreamError: the brokers rejected this client, and a retry cannot help.
    """
    try:
        yield
    except KafkaException as failure:
        error: KafkaError = failure.args[0]
        if error.code() == KafkaError._INVALID_ARG:  # noqa: SLF001
            raise UsageError(
                f"librdkafka rejects these settings: {error.str()}; correct DETECTOR_KAFKA__*, or set "
                "DETECTOR_KAFKA__CLIENT=kafka-python"
            ) from failure
        if is_fatal(error) and not error.retriable():
            raise fatal_error(f"{servers}: {describe(error)}") from failure
        raise UnavailableError(describe(error)) from failure


def describe(error: KafkaError) -> str:
    """The error's name, which can be looked up, and its text."""
    return f"{error.name()}: {error.str()}"


class FatalErrors:
    """An `error_cb`: keeps the first fatal error of a client, until `raise_first`."""

    def __init__(self) -> None:
        self._first: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Keep a fatal error; librdkafka retries after any other, and logs it."""
        if error.fatal() or error.code() in FATAL:
            self._first = self._first or error

    def raise_first(self) -> None:
        """Raise the error that was kept, if any.

        Raises:
            StreamError: the client cannot continue.
        """
        if self._first is not None:
            raise fatal_error(describe(self._first))


class _OncePerKind(logging.Filter):
    """Passes one line of each kind per minute: an unavailable broker would fill the log."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.args[0] if isinstance(record.args, tuple) and record.args else record.msg
        now = time.monotonic()
        if now - self._last.get(kind, float("-inf")) < _REPEAT_S:
            return False
        self._last[kind] = now
        return True


def _is_not_own_fencing(record: logging.LogRecord) -> bool:
    """False when a producer logs that it was fenced: mostly by its own successor, and any other case is raised."""
    return "fenced by a newer instance" not in record.getMessage()


def _as_warning_if_retried(record: logging.LogRecord) -> bool:
    """A failed connection is an error to librdkafka, which connects again by itself: no reason to wake anybody."""
    if record.levelno == logging.ERROR and record.getMessage().startswith("FAIL"):
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    return True


def client_log() -> logging.Logger:
    """The logger for librdkafka's own lines: one of each kind per minute."""
    logger = logging.getLogger("librdkafka")
    if not any(isinstance(known, _OncePerKind) for known in logger.filters):
        logger.addFilter(_is_not_own_fencing)
        logger.addFilter(_as_warning_if_retried)
        logger.addFilter(_OncePerKind())
    return logger
