"""librdkafka's errors: which are for ever, which pass, and what they say to a person; and its log, kept short."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from detector.errors import UsageError
from detector.stream.interfaces import StreamError, UnavailableError

_REPEAT_S = 60.0

FATAL = frozenset(
    {
        KafkaError._FATAL,  # noqa: SLF001 - the library's own errors all begin so; they are public
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
"""Trying again cannot help; somebody has to change something."""

UNREADABLE = frozenset(
    {
        KafkaError._BAD_COMPRESSION,  # noqa: SLF001
        KafkaError._BAD_MSG,  # noqa: SLF001
        KafkaError._NOT_IMPLEMENTED,  # noqa: SLF001
        KafkaError._CRIT_SYS_RESOURCE,  # noqa: SLF001
        KafkaError._INCONSISTENT,  # noqa: SLF001
    }
)
"""A batch of the topic that cannot be read; the library would go on behind it."""

BEYOND_RETRY = FATAL - {KafkaError._FATAL} | {  # noqa: SLF001 - of a producer, which is replaced
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_MSG,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.POLICY_VIOLATION,
    KafkaError.UNSUPPORTED_VERSION,
}
"""What no new transaction mends: a record that a topic will never take, and what the brokers cannot or may not do."""

_PASSES = frozenset(
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
        KafkaError.UNKNOWN,  # what a broker with a full disk says
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


def is_final(error: KafkaError) -> bool:
    """Whether sending the same record again with the same producer cannot help: it is stopped for, not retried."""
    return error.fatal() or error.code() not in _PASSES


@contextmanager
def explained(servers: str) -> Iterator[None]:
    """Around the start of a client: what it raises, as `UnavailableError` when waiting may help.

    Raises:
        UnavailableError: the brokers do not answer now.
        UsageError: the library refuses the settings.
        StreamError: the brokers refuse for good.
    """
    try:
        yield
    except KafkaException as failure:
        error: KafkaError = failure.args[0]
        if error.code() == KafkaError._INVALID_ARG:  # noqa: SLF001
            raise UsageError(f"librdkafka cannot be used with these settings: {error.str()}") from failure
        if is_final(error) and not error.retriable():
            raise StreamError(f"{servers}: {explain(error)}") from failure
        raise UnavailableError(explain(error)) from failure


def explain(error: KafkaError) -> str:
    """The error's name, which can be looked up, and its text."""
    return f"{error.name()}: {error.str()}"


class Failures:
    """What a client calls when something is wrong that no single record or request is to blame for."""

    def __init__(self) -> None:
        self._final: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Keep what is final until somebody looks; the rest passes, and is in the library's own log too."""
        if error.fatal() or error.code() in FATAL:
            self._final = self._final or error

    def raise_final(self) -> None:
        """Raise what was kept.

        Raises:
            StreamError: the client cannot go on.
        """
        if self._final is not None:
            raise StreamError(explain(self._final))


class _OncePerKind(logging.Filter):
    """Lets one line of each kind through a minute: a broker that is away would fill the log."""

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


def _is_no_succession(record: logging.LogRecord) -> bool:
    """A producer calls it fatal that it was fenced. By its own successor, mostly; else it is raised."""
    return "fenced by a newer instance" not in record.getMessage()


def client_log() -> logging.Logger:
    """Where librdkafka's log lines go: with everybody else's, one of each kind a minute."""
    logger = logging.getLogger("librdkafka")
    if not any(isinstance(known, _OncePerKind) for known in logger.filters):
        logger.addFilter(_is_no_succession)
        logger.addFilter(_OncePerKind())
    return logger
