"""A membership that librdkafka gave up is removed from the consumer group, with a real broker."""

import threading
import time

import pytest
from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from structlog.testing import capture_logs

from detector.stream.interfaces import StreamError
from detector.stream.librdkafka import stale_member as stale_member_module
from detector.stream.librdkafka.source import LibrdkafkaSource
from detector.stream.librdkafka.stale_member import StaleMember
from detector.stream.preflight.reachability import unreachable_reason
from tests.helpers import alive_until, wait_until
from tests.stream.listeners import RecordingListener
from tests.stream.reading import closing


@pytest.fixture
def source(kafka):
    """A member that has all partitions."""
    with closing(LibrdkafkaSource(kafka, RecordingListener())) as opened:
        alive_until(lambda: len(opened.partitions()) == 4, [opened], "all partitions")
        yield opened


@pytest.fixture
def removed(source, monkeypatch):
    """The member ids that the source asks to remove."""
    member_ids: list[str] = []
    monkeypatch.setattr(source._stale_member, "remove", member_ids.append)
    return member_ids


def test_member_is_removed_from_its_group(kafka, source):
    """Otherwise the group would wait another session timeout for the old member after an outage."""
    member_id = source._consumer.memberid()

    StaleMember(kafka).remove(member_id)

    # Here the member is alive, so it joins again with another id.
    alive_until(lambda: source._consumer.memberid() not in ("", member_id), [source], "another member id")
    alive_until(lambda: len(source.partitions()) == 4, [source], "all partitions again")


def test_cancelled_removal_sends_no_request(kafka, source, monkeypatch):
    """Otherwise a late removal would evict the client after it has joined again."""
    clients = []
    monkeypatch.setattr(stale_member_module, "KafkaAdminClient", lambda **_: clients.append(1))
    stale_member = StaleMember(kafka)

    stale_member.remove(source._consumer.memberid())
    stale_member.cancel()

    deadline = time.monotonic() + 5 * stale_member_module._RETRY_S
    alive_until(lambda: time.monotonic() > deadline, [source], "the time in which it would have sent a request")
    assert not clients


def test_unreachable_brokers_are_tried_again_without_leaking_threads(kafka, monkeypatch):
    """Otherwise a long outage would fill the process with threads and sockets."""
    unreachable = kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    stale_member, before = StaleMember(unreachable), threading.active_count()
    reasons = []

    def recorded_reason(settings):
        reasons.append(unreachable_reason(settings))
        return reasons[-1]

    monkeypatch.setattr(stale_member_module, "unreachable_reason", recorded_reason)

    stale_member.remove("somebody")
    wait_until(lambda: len(reasons) >= 3 and all(reasons), "a third attempt")
    assert threading.active_count() == before + 1

    stale_member.cancel()
    wait_until(lambda: threading.active_count() == before, "the end of the thread")


def test_unavailable_coordinator_is_asked_again_until_cancelled(kafka, monkeypatch):
    """Otherwise the stale member would stay in the group after one rejected request, while brokers restart."""
    requests, before = [], threading.active_count()

    def remove_group_members(_, group, members):
        requests.append((group, members[0].member_id))
        raise kafka_errors.NotCoordinatorError

    monkeypatch.setattr(KafkaAdminClient, "remove_group_members", remove_group_members)
    stale_member = StaleMember(kafka)

    stale_member.remove("somebody")
    wait_until(lambda: len(requests) >= 2, "a second request")
    stale_member.cancel()
    wait_until(lambda: threading.active_count() == before, "the end of the thread")

    assert set(requests) == {(kafka.group_id, "somebody")}


def test_static_member_is_not_removed(kafka):
    """Otherwise a restart of an instance with static membership would cause a rebalance."""
    before = threading.active_count()

    StaleMember(kafka.model_copy(update={"instance_id": "one"})).remove("somebody")

    assert threading.active_count() == before


def test_failed_removal_is_logged(kafka, monkeypatch):
    """Otherwise nobody would know why partitions are assigned ten seconds late."""

    def rejected(_):
        raise StreamError("credentials rejected")

    monkeypatch.setattr(stale_member_module, "unreachable_reason", rejected)

    with capture_logs() as lines:
        StaleMember(kafka).remove("somebody")
        wait_until(lambda: lines, "a log line")

    assert [(line["event_name"], line["error"]) for line in lines] == [
        ("stale_member_not_removed", "StreamError: credentials rejected")
    ]


def test_live_member_is_not_removed(source, removed):
    """Otherwise a member that lost only its partitions, for example by a missing ACL, would be evicted."""
    source._on_unassigned("lost", [])

    assert not removed


def test_lost_member_is_removed_with_its_partitions(source, removed):
    """Otherwise the group would wait a session timeout for a member id that the client has forgotten."""
    source._member_id = "stale"

    source._on_unassigned("lost", [])

    assert removed == ["stale"]
