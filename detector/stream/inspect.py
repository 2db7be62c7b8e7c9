"""A look at the brokers, the topics and the rights on them, as an administrator would have it."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors

from detector.settings import KafkaSettings
from detector.stream.kafka_faults import explain
from detector.stream.kafka_options import bootstrap_servers, connection_options
from detector.stream.readiness import how_to_create, unreachable

_COORDINATOR_TIMEOUT_S = 15.0
_RETRY_S = 0.2


class Sight(NamedTuple):
    """One thing that was seen; `problem` is empty when it is in order."""

    subject: str
    detail: str
    problem: str = ""


def inspect_kafka(kafka: KafkaSettings) -> Iterator[Sight]:
    """Look at what the service needs: brokers and credentials, the topics, the rights on topics and group."""
    reason = unreachable(bootstrap_servers(kafka))
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
        needed = {
            kafka.events_topic: {"READ", "DESCRIBE"},
            kafka.alerts_topic: {"WRITE", "DESCRIBE"},
            kafka.dead_letter_topic: {"WRITE", "DESCRIBE"},
        }
        described = {topic["name"]: topic for topic in admin.describe_topics(list(needed))}
        for name, rights in needed.items():
            yield _topic(name, described[name], rights, kafka)
        yield _group(f"group {kafka.group_id}", _describe_group(admin, kafka.group_id))
    except kafka_errors.KafkaError as error:
        yield Sight("topics", explain(error), explain(error))
    finally:
        admin.close()


def _topic(name: str, topic: dict[str, Any], rights: set[str], kafka: KafkaSettings) -> Sight:
    subject = f"topic {name}"
    error = kafka_errors.for_code(topic["error_code"])
    if error is kafka_errors.UnknownTopicOrPartitionError:
        problem = f"topic {name} does not exist: {how_to_create(name, kafka.bootstrap_servers)}"
        return Sight(subject, problem, problem)
    if error is not kafka_errors.NoError:
        return Sight(subject, error.__name__, f"topic {name}: {error.__name__}")
    return _rights(subject, f"{len(topic['partitions'])} partitions, ", rights, topic["authorized_operations"])


def _describe_group(admin: Any, group_id: str) -> dict[str, Any]:
    """The group as the broker describes it; the first client of a new cluster waits until there is a coordinator."""
    deadline = time.monotonic() + _COORDINATOR_TIMEOUT_S
    while True:
        try:
            group: dict[str, Any] = admin.describe_groups([group_id])[group_id]
        except kafka_errors.KafkaError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
        else:
            return group


def _group(subject: str, group: dict[str, Any]) -> Sight:
    error = group.get("error")
    if error and "GroupIdNotFound" not in str(error):
        return Sight(subject, str(error), f"{subject}: {error}")
    return _rights(subject, "", {"READ"}, group.get("authorized_operations"))


def _rights(subject: str, detail: str, needed: set[str], granted: list[str] | None) -> Sight:
    lacking = sorted(needed - set(needed if granted is None else granted))
    if lacking:
        problem = f"{subject}: this client lacks the right to {', '.join(lacking)}"
        return Sight(subject, problem, problem)
    return Sight(subject, f"{detail}may {', '.join(sorted(needed))}")
