"""Replaying dead letters, with a real broker."""

from contextlib import closing

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from detector.dead_letters.letter import ATTEMPT
from detector.dead_letters.offsets import WrittenOffsets
from detector.dead_letters.outcome import Outcome
from detector.dead_letters.replay import Rules, Tally, open_replay
from detector.dead_letters.selection import Selection
from detector.errors import DetectorError
from detector.records import Headers, OutgoingRecord, Partition, Record
from detector.settings import KafkaSettings
from detector.stream.admin import writer
from detector.stream.admin.topics import read_topic
from tests.dead_letters.written import SOURCE_MS, new_dead_letter, write, write_at

UNUSUAL: list[tuple[bytes | None, bytes | None, Headers]] = [
    (None, None, []),
    (b"", b"", [("", b"")]),
    (b"key", None, [("a", b"1"), ("a", b""), ("a", b"1")]),
    (None, b"\x00\xff" * 9, [("source-topic", b"theirs"), ("dead-letter-reason", b"theirs"), ("\u00e4", b"\xff")]),
    (b"\xff", b"x" * 2_000_000, [(ATTEMPT, b"7"), ("last", b"")]),
]


def replayed(kafka: KafkaSettings, rules: Rules | None = None) -> Tally:
    with open_replay(kafka, rules or Rules()) as run:
        run.send()
        return run.tally


def content(record: Record) -> tuple[object, ...]:
    return record.key, record.value, record.headers


def test_replayed_records_are_the_original_bytes(kafka):
    """Otherwise a replayed record would differ from what its producer wrote."""
    write(kafka, [new_dead_letter(kafka, value, key=key, headers=headers) for key, value, headers in UNUSUAL])

    tally = replayed(kafka)

    assert (tally.found, tally.written.total, tally.skipped) == (5, 5, 0)
    sent = sorted((content(record) for record in read_topic(kafka, kafka.events_topic)), key=repr)
    assert sent == sorted(((key, value, [*headers, (ATTEMPT, b"1")]) for key, value, headers in UNUSUAL), key=repr)


def test_dead_letter_that_had_all_attempts_is_skipped(kafka):
    """Otherwise a record that is always invalid would be replayed without end."""
    for attempts in range(1, 5):
        write(kafka, [new_dead_letter(kafka, b"%d" % attempts, headers=[(ATTEMPT, b"%d" % attempts)])])

    tally = replayed(kafka)

    assert (tally.found, tally.written.total, tally.skipped) == (4, 2, 2)
    headers = {record.value: record.headers for record in read_topic(kafka, kafka.events_topic)}
    assert headers == {b"1": [(ATTEMPT, b"2")], b"2": [(ATTEMPT, b"3")]}
    assert replayed(kafka, Rules(max_attempts=1)).skipped == 4


def test_reason_since_and_limit_select(kafka):
    """Otherwise an operator could not replay only the records that a fix concerns, or try a few of them first."""
    for number in range(4):
        write_at(
            kafka, new_dead_letter(kafka, b"%d" % number, ("not_json", "wrong_type")[number % 2]), SOURCE_MS + number
        )
    write_at(kafka, OutgoingRecord(kafka.dead_letter_topic, None, b"foreign", []), SOURCE_MS + 9)

    assert replayed(kafka, Rules(Selection("wrong_type"))).found == 2
    assert replayed(kafka, Rules(Selection(None, SOURCE_MS + 3))).written.total == 1
    tally = replayed(kafka, Rules(limit=1))
    assert (tally.found, tally.written.total, tally.foreign) == (4, 1, 1)
    assert sorted(record.value or b"" for record in read_topic(kafka, kafka.events_topic)) == [b"0", b"1", b"3", b"3"]


def test_dry_run_sends_nothing(kafka):
    """Otherwise an operator could not look at dead letters before replaying them."""
    write(
        kafka,
        [
            new_dead_letter(kafka, b"\x1b[2J", headers=[(ATTEMPT, b"1")]),
            new_dead_letter(kafka, b"x", headers=[(ATTEMPT, b"3")]),
        ],
    )

    with open_replay(kafka, Rules()) as run:
        lines = list(run.dry_run())

    assert lines == [rf"{kafka.events_topic}/3/42  not_json  attempt 2  \x1b[2J"]
    assert (run.tally.chosen, run.tally.skipped) == (1, 1)
    assert read_topic(kafka, kafka.events_topic) == []


def test_dead_letters_written_during_the_run_are_not_replayed(kafka):
    """Otherwise a run would never end while the daemon turns each replayed record into a dead letter again."""
    write(kafka, [new_dead_letter(kafka, b"first")])

    with open_replay(kafka, Rules()) as run:
        write(kafka, [new_dead_letter(kafka, b"later") for _ in range(20)])
        run.send()

    assert [record.value for record in read_topic(kafka, kafka.events_topic)] == [b"first"]


def test_stop_request_ends_the_run_with_the_right_count(kafka):
    """Otherwise the number that is printed after Ctrl-C would be wrong."""
    write(kafka, [new_dead_letter(kafka, b"x" * 500, offset=number) for number in range(3000)])
    stopped: list[int] = []

    with open_replay(kafka, Rules(), lambda _: bool(stopped)) as run:
        run.send(stopped.append)

    assert 0 < run.tally.written.total < 3000
    assert run.tally.written.total == len(read_topic(kafka, kafka.events_topic))
    assert run.tally.line(Rules(), "t", dry_run=False, stopped=True).endswith("; stopped by a signal before the end")


def test_fatal_rejection_is_an_error_with_the_number_replayed_before(kafka):
    """Otherwise a record that is too large for its topic would be retried without end."""
    smaller = ConfigResource(ConfigResourceType.TOPIC, kafka.events_topic, configs={"max.message.bytes": "1000"})
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)) as admin:
        admin.alter_configs([smaller])
    write_at(kafka, new_dead_letter(kafka, b"x" * 5000), SOURCE_MS)

    with pytest.raises(
        DetectorError,
        match=rf"^topic {kafka.events_topic} rejects a record of 5000 bytes: .*; raise max.message.bytes .*; "
        "0 dead letters were replayed before the error$",
    ):
        replayed(kafka)


def test_topic_that_was_deleted_meanwhile_ends_the_run(kafka):
    """Otherwise the run would never end, or would create the topic with the broker's default settings."""
    written: list[tuple[Partition, int]] = []
    opened = writer.Writer(kafka)
    record = OutgoingRecord("no-such-topic", None, b"x", [])
    try:
        with pytest.raises(DetectorError, match="^topic no-such-topic does not exist; create it with"):
            opened.write([record], written.extend, lambda _: False)
    finally:
        opened.close(1)

    assert written == []


def test_without_a_daemon_no_record_is_accepted(kafka):
    """Otherwise a replay would look successful although no daemon has read the records."""
    write(kafka, [new_dead_letter(kafka, b"x"), new_dead_letter(kafka, b"y")])
    with open_replay(kafka, Rules()) as run:
        run.send()

        assert run.follow(0.1) == Outcome(accepted=0, dead_lettered=0, unread=2)


def test_written_offsets_are_exact():
    """Otherwise the outcome would count other producers' records, or records that no daemon has read."""
    one, two = Partition("t", 0), Partition("t", 1)
    written = WrittenOffsets()
    written.add([(one, 3), (one, 5), (two, 0)])
    written.add([(one, 9), (two, -1)])

    assert written.total == 5
    assert [offset for offset in range(12) if (one, offset) in written] == [3, 5, 9]
    assert (Partition("t", 2), 0) not in written
    assert [written.count_before({one: offset}) for offset in (0, 3, 4, 5, 6, 10)] == [0, 0, 1, 1, 2, 3]
    assert written.count_before({one: 100, two: 100}) == 4
