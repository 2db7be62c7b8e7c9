"""Dead letters on their way back, on a real broker."""

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from detector.dead_letters import delivery
from detector.dead_letters.letter import ATTEMPT
from detector.dead_letters.outcome import Outcome
from detector.dead_letters.places import Places
from detector.dead_letters.replay import Rules, open_replay
from detector.dead_letters.selection import Selection
from detector.errors import DetectorError
from detector.local.topics import read_topic
from detector.records import OutgoingRecord, Partition
from detector.stream.kafka_python import KafkaPythonSink
from tests.dead_letters.letters import SOURCE_MS, letter, write, write_at

ODD = [
    (None, None, []),
    (b"", b"", [("", b"")]),
    (b"key", None, [("a", b"1"), ("a", b""), ("a", b"1")]),
    (None, b"\x00\xff" * 9, [("source-topic", b"theirs"), ("dead-letter-reason", b"theirs"), ("\u00e4", b"\xff")]),
    (b"\xff", b"x" * 2_000_000, [(ATTEMPT, b"7"), ("last", b"")]),
]


def replayed(kafka, rules=None, **options):
    with open_replay(kafka, rules or Rules(), **options) as run:
        run.send()
        return run.tally


def content(record):
    return record.key, record.value, record.headers


def test_records_go_back_byte_for_byte(kafka):
    """What is replayed is what the producer once wrote, and how often it was sent back."""
    write(kafka, [letter(kafka, value, key=key, headers=headers) for key, value, headers in ODD])

    tally = replayed(kafka)

    assert (tally.found, tally.arrived.total, tally.skipped) == (5, 5, 0)
    sent = sorted((content(record) for record in read_topic(kafka, kafka.events_topic)), key=repr)
    assert sent == sorted(((key, value, [*headers, (ATTEMPT, b"1")]) for key, value, headers in ODD), key=repr)


def test_what_was_tried_often_enough_stays_where_it_is(kafka):
    """A record that cannot be read goes round a few times, not for ever."""
    for attempts in range(1, 5):
        write(kafka, [letter(kafka, b"%d" % attempts, headers=[(ATTEMPT, b"%d" % attempts)])])

    tally = replayed(kafka)

    assert (tally.found, tally.arrived.total, tally.skipped) == (4, 2, 2)
    headers = {record.value: record.headers for record in read_topic(kafka, kafka.events_topic)}
    assert headers == {b"1": [(ATTEMPT, b"2")], b"2": [(ATTEMPT, b"3")]}
    assert replayed(kafka, Rules(max_attempts=1)).skipped == 4


def test_reason_since_and_limit_choose(kafka):
    """Only what was mended goes back; a few go first to see whether it was."""
    for number in range(4):
        write_at(kafka, letter(kafka, b"%d" % number, ("not_json", "wrong_type")[number % 2]), SOURCE_MS + number)
    write_at(kafka, OutgoingRecord(kafka.dead_letter_topic, None, b"stranger", []), SOURCE_MS + 9)

    assert replayed(kafka, Rules(Selection("wrong_type"))).found == 2
    assert replayed(kafka, Rules(Selection(None, SOURCE_MS + 3))).arrived.total == 1
    tally = replayed(kafka, Rules(limit=1))
    assert (tally.found, tally.arrived.total, tally.foreign) == (4, 1, 1)
    assert sorted(record.value for record in read_topic(kafka, kafka.events_topic)) == [b"0", b"1", b"3", b"3"]


def test_rehearsal_sends_nothing(kafka):
    """--dry-run says what would go, harmlessly, and that is all."""
    write(kafka, [letter(kafka, b"\x1b[2J", headers=[(ATTEMPT, b"1")]), letter(kafka, b"x", headers=[(ATTEMPT, b"3")])])

    with open_replay(kafka, Rules()) as run:
        said = list(run.rehearse())

    assert said == [rf"{kafka.events_topic}/3/42  not_json  attempt 2  \x1b[2J"]
    assert (run.tally.chosen, run.tally.skipped) == (1, 1)
    assert read_topic(kafka, kafka.events_topic) == []


def test_what_comes_back_meanwhile_is_not_met_again(kafka):
    """The run ends even when each record fails at once: it goes to where the topic ended at its start."""
    write(kafka, [letter(kafka, b"first")])

    with open_replay(kafka, Rules()) as run:
        write(kafka, [letter(kafka, b"later") for _ in range(20)])
        run.send()

    assert [record.value for record in read_topic(kafka, kafka.events_topic)] == [b"first"]


def test_stop_ends_between_batches_with_the_right_count(kafka):
    """Ctrl-C: what is said to be sent was sent, and nothing else."""
    write(kafka, [letter(kafka, b"x" * 500, offset=number) for number in range(3000)])
    stopped = []

    with open_replay(kafka, Rules(), lambda _: bool(stopped)) as run:
        run.send(stopped.append)

    assert 0 < run.tally.arrived.total < 3000
    assert run.tally.arrived.total == len(read_topic(kafka, kafka.events_topic))
    assert run.tally.line(Rules(), "t", rehearsed=False, stopped=True).endswith("; stopped by a signal before the end")


def test_final_refusal_is_told_with_what_was_sent_before(kafka):
    """A topic that permits less than it did: one line with the size and the reason, not an endless retry."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    smaller = ConfigResource(ConfigResourceType.TOPIC, kafka.events_topic, configs={"max.message.bytes": "1000"})
    admin.alter_configs([smaller])
    admin.close()
    write_at(kafka, letter(kafka, b"x" * 5000), SOURCE_MS)

    with pytest.raises(
        DetectorError,
        match=rf"^topic {kafka.events_topic} refuses a record of 5000 bytes: .*: 0 dead letters were replayed before$",
    ):
        replayed(kafka)


def test_topic_that_takes_nothing_is_waited_for_but_not_for_ever(kafka, monkeypatch):
    """A topic that went away during a run: sent again for a while, in case it comes back, then one line."""
    monkeypatch.setattr(delivery, "_PATIENCE_S", 1.5)
    sink = KafkaPythonSink(kafka)
    arrived = []

    with pytest.raises(DetectorError, match=r"^topic no-such-topic refuses a record of 1 bytes: KafkaTimeoutError"):
        delivery.deliver(sink, [OutgoingRecord("no-such-topic", None, b"x", [])], arrived.extend, lambda _: False)

    assert arrived == []
    sink.close(1)


def test_without_a_daemon_nothing_is_said_to_have_gone_through(kafka):
    """Not read is neither gone through nor come back."""
    write(kafka, [letter(kafka, b"x"), letter(kafka, b"y")])
    with open_replay(kafka, Rules()) as run:
        run.send()

        assert run.follow(0.1) == Outcome(through=0, back=0, unread=2)


def test_places_are_exact():
    """Records of others between ours are not ours; one whose place is unknown is never said to be read."""
    one, two = Partition("t", 0), Partition("t", 1)
    places = Places()
    places.add([(one, 3), (one, 5), (two, 0)])
    places.add([(one, 9), (two, -1)])

    assert places.total == 5
    assert [offset for offset in range(12) if (one, offset) in places] == [3, 5, 9]
    assert (Partition("t", 2), 0) not in places
    assert [places.before({one: position}) for position in (0, 3, 4, 5, 6, 10)] == [0, 0, 1, 1, 2, 3]
    assert places.before({one: 100, two: 100}) == 4
