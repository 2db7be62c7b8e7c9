"""A look at the brokers, the topics and the rights on them, as an administrator would have it."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, KafkaProducer
from kafka import errors as kafka_errors

from detector.settings import Guarantee, KafkaSettings
from detector.stream.interfaces import StreamError
from detector.stream.kafka_faults import explain
from detector.stream.kafka_options import connection_options, transaction_options
from detector.stream.kafka_records import close
from detector.stream.readiness import how_to_create, how_to_permit, unreachable

_COORDINATOR_TIMEOUT_S = 15.0
_RETRY_S = 0.2


class Sight(NamedTuple):
    """One thing that was seen; `problem` is empty when it is in order."""

    subject: str
    detail: str
    problem: str = ""
    is_right: bool = False
    """The problem is a right that this client lacks."""


def inspect_kafka(kafka: KafkaSettings, guarantee: Guarantee) -> Iterator[Sight]:
    """Look at what the service needs: brokers and credentials, the topics, the rights on them.

    Raises:
        UsageError: the certificates of the settings cannot be used.
    """
    try:
        reason = unreachable(kafka)
    except StreamError as error:
        yield Sight("brokers", str(error), str(error))
        return
    if reason is not None:
        yield Sight("brokers", reason, f"no broker can be reached: {reason}")
        return
    try:
        admin = KafkaAdminClient(**connection_options(kafka))
    except kafka_errors.KafkaError as error:
        problem = (
            f"{kafka.bootstrap_servers}: {explain(error)} (DETECTOR_KAFKA__SECURITY_PROTOCOL={kafka.security_protocol})"
        )
        yield Sight("brokers", problem, problem)
        return
    try:
        yield Sight("brokers", f"{kafka.bootstrap_servers}, {kafka.security_protocol}")
        yield from _resources(admin, kafka, guarantee)
    except kafka_errors.KafkaError as error:
        yield Sight("topics", explain(error), explain(error))
    finally:
        admin.close()


def missing_rights(kafka: KafkaSettings, guarantee: Guarantee) -> list[str]:
    """What this client may not do although the service needs it, with the command that permits it.

    Raises:
        KafkaError: the brokers cannot be asked.
    """
    admin = KafkaAdminClient(**connection_options(kafka))
    try:
        return [sight.problem for sight in _resources(admin, kafka, guarantee) if sight.is_right]
    finally:
        admin.close()


def _resources(admin: Any, kafka: KafkaSettings, guarantee: Guarantee) -> Iterator[Sight]:
    needed = {
        kafka.events_topic: {"READ", "DESCRIBE"},
        kafka.alerts_topic: {"WRITE", "DESCRIBE"},
        kafka.dead_letter_topic: {"WRITE", "DESCRIBE"},
    }
    described = {topic["name"]: topic for topic in admin.describe_topics(list(needed))}
    for name, rights in needed.items():
        yield _topic(name, described[name], rights, kafka)
    yield _group(admin, kafka)
    if guarantee == "exactly-once":
        yield _transactions(kafka)


def _topic(name: str, topic: dict[str, Any], rights: set[str], kafka: KafkaSettings) -> Sight:
    subject = f"topic {name}"
    error = kafka_errors.for_code(topic["error_code"])
    if error is kafka_errors.UnknownTopicOrPartitionError:
        problem = f"topic {name} does not exist: {how_to_create(name, kafka)}"
        return Sight(subject, problem, problem)
    if error is kafka_errors.TopicAuthorizationFailedError:  # what is not permitted at all is not even described
        return _rights("topic", name, "", rights, [], kafka)
    if error is not kafka_errors.NoError:
        return Sight(subject, error.__name__, f"topic {name}: {error.__name__}")
    return _rights(
        "topic", name, f"{len(topic['partitions'])} partitions, ", rights, topic["authorized_operations"], kafka
    )


def _group(admin: Any, kafka: KafkaSettings) -> Sight:
    subject = f"group {kafka.group_id}"
    try:
        group = _describe_group(admin, kafka.group_id)
    except kafka_errors.GroupAuthorizationFailedError:
        return _rights("group", kafka.group_id, "", {"READ"}, [], kafka)
    error = group.get("error")
    if error and "GroupIdNotFound" not in str(error):
        return Sight(subject, str(error), f"{subject}: {error}")
    return _rights("group", kafka.group_id, "", {"READ"}, group.get("authorized_operations"), kafka)


def _describe_group(admin: Any, group_id: str) -> dict[str, Any]:
    """The group as the broker describes it; the first client of a new cluster waits until there is a coordinator."""
    deadline = time.monotonic() + _COORDINATOR_TIMEOUT_S
    while True:
        try:
            group: dict[str, Any] = admin.describe_groups([group_id])[group_id]
            if not _is_starting(group) or time.monotonic() > deadline:
                return group
        except kafka_errors.KafkaError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_S)


def _is_starting(group: dict[str, Any]) -> bool:
    return "Coordinator" in str(group.get("error"))  # it loads, moved or is not available yet


def _transactions(kafka: KafkaSettings) -> Sight:
    """Whether a transactional producer may start: only its start tells.

    With an instance's own id it would end what that one has under way; none has the bare prefix.
    """
    prefix, needed = f"{kafka.group_id}-", {"DESCRIBE", "WRITE"}
    producer = KafkaProducer(**transaction_options(kafka, prefix))
    try:
        producer.init_transactions()
    except kafka_errors.TransactionalIdAuthorizationFailedError:  # which of the two is lacking is not told
        return _rights("transactional-id", prefix, "", needed, [], kafka)
    finally:
        close(producer, 0)
    return _rights("transactional-id", prefix, "", needed, None, kafka)


def _rights(
    kind: str, name: str, detail: str, needed: set[str], granted: list[str] | None, kafka: KafkaSettings
) -> Sight:
    lacking = sorted(needed - set(needed if granted is None else granted))
    if lacking:
        problem = (
            f"{kind} {name}: this client lacks the right to {', '.join(lacking)}: "
            f"{how_to_permit(kind, name, lacking, kafka)}"
        )
        return Sight(f"{kind} {name}", problem, problem, is_right=True)
    return Sight(f"{kind} {name}", f"{detail}may {', '.join(sorted(needed))}")
