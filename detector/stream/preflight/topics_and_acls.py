"""Checks brokers, topics and ACLs through an admin client."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, KafkaProducer
from kafka import errors as kafka_errors

from detector.settings import Guarantee, KafkaSettings
from detector.stream.interfaces import StreamError
from detector.stream.kafka_python.errors import describe
from detector.stream.kafka_python.options import connection_options
from detector.stream.policy import TRANSACTION_TIMEOUT_MS
from detector.stream.preflight.commands import create_topic_command, grant_command
from detector.stream.preflight.reachability import unreachable_reason

_COORDINATOR_TIMEOUT_S = 15.0
_RETRY_S = 0.2
_PRODUCER_START_MS = 10_000


class CheckResult(NamedTuple):
    """One thing that was checked; `problem` is empty when it passed."""

    subject: str
    detail: str
    problem: str = ""
    is_authorization: bool = False
    """Whether the problem is a missing ACL."""


def check_kafka(kafka: KafkaSettings, guarantee: Guarantee) -> Iterator[CheckResult]:
    """Check what the service needs: brokers and credentials, topics, ACLs.

    Raises:
        UsageError: the certificates of the settings cannot be used.
    """
    try:
        reason = unreachable_reason(kafka)
    except StreamError as error:
        yield CheckResult("brokers", str(error), str(error))
        return
    if reason is not None:
        yield CheckResult("brokers", reason, f"Kafka brokers unreachable: {reason}")
        return
    try:
        admin = KafkaAdminClient(**connection_options(kafka))
    except kafka_errors.KafkaError as error:
        problem = (
            f"{kafka.bootstrap_servers}: {describe(error)}; check that DETECTOR_KAFKA__SECURITY_PROTOCOL="
            f"{kafka.security_protocol} is the protocol of this listener"
        )
        yield CheckResult("brokers", problem, problem)
        return
    try:
        yield CheckResult("brokers", f"{kafka.bootstrap_servers}, {kafka.security_protocol}")
        yield from _resources(admin, kafka, guarantee)
    except kafka_errors.KafkaError as error:
        problem = f"{kafka.bootstrap_servers}: {describe(error)}; look for the cause in the log of the brokers"
        yield CheckResult("topics", problem, problem)
    finally:
        admin.close()


def missing_acls(kafka: KafkaSettings, guarantee: Guarantee) -> list[str]:
    """What this client is not authorized to do although the service needs it, with the command that grants it.

    Raises:
        KafkaError: the brokers did not answer.
    """
    admin = KafkaAdminClient(**connection_options(kafka))
    try:
        return [result.problem for result in _resources(admin, kafka, guarantee) if result.is_authorization]
    finally:
        admin.close()


def _resources(admin: Any, kafka: KafkaSettings, guarantee: Guarantee) -> Iterator[CheckResult]:
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


def _topic(name: str, topic: dict[str, Any], rights: set[str], kafka: KafkaSettings) -> CheckResult:
    subject = f"topic {name}"
    error = kafka_errors.for_code(topic["error_code"])
    if error is kafka_errors.UnknownTopicOrPartitionError:
        problem = f"topic {name} does not exist; create it with: {create_topic_command(name, kafka)}"
        return CheckResult(subject, problem, problem)
    if error is kafka_errors.TopicAuthorizationFailedError:  # without any right the topic is not even described
        return _authorization("topic", name, "", rights, [], kafka)
    if error is not kafka_errors.NoError:
        return CheckResult(subject, error.__name__, f"topic {name}: {error.__name__}")
    return _authorization(
        "topic", name, f"{len(topic['partitions'])} partitions, ", rights, topic.get("authorized_operations"), kafka
    )


def _group(admin: Any, kafka: KafkaSettings) -> CheckResult:
    subject = f"group {kafka.group_id}"
    try:
        group = _describe_group(admin, kafka.group_id)
    except kafka_errors.GroupAuthorizationFailedError:
        return _authorization("group", kafka.group_id, "", {"READ"}, [], kafka)
    except kafka_errors.IncompatibleBrokerVersion:  # the broker cannot describe groups at all
        return _authorization("group", kafka.group_id, "", {"READ"}, None, kafka)
    error = group.get("error")
    if error and "GroupIdNotFound" not in str(error):
        return CheckResult(subject, str(error), f"{subject}: {error}")
    return _authorization("group", kafka.group_id, "", {"READ"}, group.get("authorized_operations"), kafka)


def _describe_group(admin: Any, group_id: str) -> dict[str, Any]:
    """The group as the coordinator describes it; on a new cluster this waits until there is a coordinator."""
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
    return "Coordinator" in str(group.get("error"))  # it is loading, has moved or is not available yet


def _transactions(kafka: KafkaSettings) -> CheckResult:
    """Whether a transactional producer is allowed to start: only starting one shows it.

    With an instance's own transactional id it would fence that instance; no instance has the bare prefix as its id.
    """
    prefix, needed = f"{kafka.group_id}-", {"DESCRIBE", "WRITE"}
    producer = KafkaProducer(
        **connection_options(kafka),
        transactional_id=prefix,
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        max_block_ms=_PRODUCER_START_MS,
    )
    try:
        producer.init_transactions()
    except kafka_errors.TransactionalIdAuthorizationFailedError:  # it does not say which of the two is missing
        return _authorization("transactional-id", prefix, "", needed, [], kafka)
    finally:
        producer.close(timeout=0)
    return _authorization("transactional-id", prefix, "", needed, sorted(needed), kafka)


def _authorization(
    kind: str, name: str, detail: str, needed: set[str], granted: list[str] | None, kafka: KafkaSettings
) -> CheckResult:
    """What the rights on a resource allow, of what is needed.

    Args:
        kind: of the resource, as kafka-acls.sh names it.
        name: of the resource.
        detail: what else is known about it.
        needed: the operations.
        granted: those that are authorized. None if the broker does not say: brokers with versions of requests up to
            that of Kafka 2.2, and some that are compatible with Kafka. If a right is missing, the service says so when
            it needs the right.
        kafka: for the command that grants missing rights.
    """
    if granted is None:
        rights = f"rights unknown (needs {', '.join(sorted(needed))}): the broker does not report them"
        return CheckResult(f"{kind} {name}", f"{detail}{rights}")
    missing = sorted(needed - set(granted))
    if missing:
        problem = (
            f"{kind} {name}: authorization failed: {', '.join(missing)} is not allowed; grant it with: "
            f"{grant_command(kind, name, missing, kafka)}"
        )
        return CheckResult(f"{kind} {name}", problem, problem, is_authorization=True)
    return CheckResult(f"{kind} {name}", f"{detail}may {', '.join(sorted(needed))}")
