"""A membership of librdkafka's is taken out of its group, on the real broker."""

import threading
import time

import pytest
from kafka import KafkaAdminClient
from kafka import errors as kafka_errors

from detector.stream.interfaces import StreamError
from detector.stream.librdkafka_former import _RETRY_S, FormerMember
from detector.stream.librdkafka_source import LibrdkafkaSource
from detector.stream.readiness import unreachable
from tests.contract.test_stream import Heard
from tests.helpers import alive_until, wait_until


@pytest.fixture
def source(kafka):
    opened = LibrdkafkaSource(kafka, Heard())
    alive_until(lambda: len(opened.partitions()) == 4, [opened], "all partitions")
    yield opened
    opened.close(5)


def test_group_no_longer_counts_it_in(kafka, source):
    """Here it is alive, so it is told, and joins as another."""
    member = source._consumer.memberid()

    FormerMember(kafka).give_up(member)

    alive_until(lambda: source._consumer.memberid() not in ("", member), [source], "another membership")
    alive_until(lambda: len(source.partitions()) == 4, [source], "all partitions again")


def test_nothing_is_taken_out_once_the_group_was_joined_again(kafka, source, monkeypatch):
    """Brokers that are back let a client join before the admin client is through: then nobody waits any more."""
    asked = []
    monkeypatch.setattr("detector.stream.librdkafka_former.KafkaAdminClient", lambda **_: asked.append(1))
    former = FormerMember(kafka)

    former.give_up(source._consumer.memberid())
    former.forget()

    until = time.monotonic() + 5 * _RETRY_S
    alive_until(lambda: time.monotonic() > until, [source], "the time in which it would have asked")
    assert not asked


def test_brokers_that_are_away_are_asked_again_and_nothing_is_left_behind(kafka, monkeypatch):
    """Each start of an admin client that cannot connect would leave a thread and its sockets behind."""
    away = kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    former, before = FormerMember(away), threading.active_count()
    answers = []
    monkeypatch.setattr(
        "detector.stream.librdkafka_former.unreachable", lambda asked: answers.append(unreachable(asked)) or answers[-1]
    )

    former.give_up("somebody")
    wait_until(lambda: len(answers) >= 3 and all(answers), "a third answer that says why not")
    assert threading.active_count() == before + 1

    former.forget()
    wait_until(lambda: threading.active_count() == before, "the end of it")


def test_group_that_has_no_coordinator_yet_is_asked_again_until_nobody_waits(kafka, monkeypatch):
    """The brokers are back one by one; what was begun for a membership ends with the wait for it."""
    asked, before = [], threading.active_count()

    def remove(_, group, members):
        asked.append((group, members[0].member_id))
        raise kafka_errors.NotCoordinatorError

    monkeypatch.setattr(KafkaAdminClient, "remove_group_members", remove)
    former = FormerMember(kafka)

    former.give_up("somebody")
    wait_until(lambda: len(asked) >= 2, "a second request")
    former.forget()
    wait_until(lambda: threading.active_count() == before, "the end of it")

    assert set(asked) == {(kafka.group_id, "somebody")}


def test_fixed_identity_is_left_alone(kafka):
    """It takes its old place by itself; taken out, it would share the partitions out anew."""
    before = threading.active_count()

    FormerMember(kafka.model_copy(update={"instance_id": "one"})).give_up("somebody")

    assert threading.active_count() == before


def test_group_that_cannot_be_changed_is_one_line(kafka, monkeypatch, caplog):
    """The session timeout does it too."""
    monkeypatch.setattr("detector.stream.librdkafka_former.unreachable", refused)

    FormerMember(kafka).give_up("somebody")

    wait_until(lambda: caplog.records, "a line")
    assert "left to its timeout: StreamError: not let in" in caplog.text


def refused(_):
    raise StreamError("not let in")


def test_live_membership_is_left_alone(source):
    """Partitions may be lost without the membership: in a generation that went on alone, or to a revoked right."""
    given_up = []
    source._former.give_up = given_up.append

    source._on_gone("lost", [])

    assert not given_up


def test_membership_that_is_gone_is_given_up_with_its_partitions(source):
    """The client has forgotten it by then; the group has not."""
    given_up = []
    source._former.give_up = given_up.append
    source._member_id = "former"

    source._on_gone("lost", [])

    assert given_up == ["former"]
