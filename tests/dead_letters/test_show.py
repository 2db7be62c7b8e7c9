"""What is in the dead-letter topic, read from a real broker."""

import io
import socket
import time

import pytest
from kafka import KafkaProducer
from rich.console import Console

from detector.dead_letters import topic as topic_module
from detector.dead_letters.letter import ATTEMPT
from detector.dead_letters.selection import Selection
from detector.dead_letters.show import OTHER, lines, summarize
from detector.dead_letters.tables import tables
from detector.dead_letters.topic import open_topics
from detector.errors import DetectorError
from detector.local.topics import GroupProgress
from detector.records import OutgoingRecord, Partition
from tests.dead_letters.letters import SOURCE_MS, letter, write, write_at

HOSTILE = b'\x1b[31m[bold]{"a": \xff\x00\x07'


def test_reasons_are_counted_with_times_and_a_few_examples(kafka):
    """The first look after an alarm: what is wrong, since when, and what does it look like."""
    started_ms = time.time() * 1000
    many = [
        letter(kafka, b"%d" % number, "not_an_object", detail="a JSON number", offset=number) for number in range(7)
    ]
    write(kafka, [*many, letter(kafka, None, "tombstone", detail="null value", headers=[(ATTEMPT, b"2")])])

    first, second = summarize(kafka, Selection(), examples=3)

    assert (first.reason, first.count, len(first.examples)) == ("not_an_object", 7, 3)
    assert (second.reason, second.count, len(second.examples)) == ("tombstone", 1, 1)
    assert started_ms - 1000 < first.first_ms <= first.last_ms < time.time() * 1000 + 1000
    (example,) = second.examples
    assert (example.place, example.time) == (f"{kafka.events_topic}/3/42", "2023-11-14T22:13:20Z")
    assert (example.detail, example.value) == ("null value; sent back before: 2", "(null)")


def test_what_others_wrote_is_counted_apart(kafka):
    """Nothing in the topic is passed over in silence, and names made up by others cannot fill the memory."""
    stranger = OutgoingRecord(kafka.dead_letter_topic, None, b"?", [("dead-letter-reason", b"mine")])
    write(kafka, [stranger, letter(kafka, b"x", "bored\x1b[2J", detail="d")])

    (summary,) = summarize(kafka, Selection(), examples=3)

    assert (summary.reason, summary.count) == (OTHER, 2)
    assert {example.detail for example in summary.examples} == {
        "no dead letter of detector's",
        r"bored\x1b[2J: d",
    }
    assert summarize(kafka, Selection("not_json"), examples=3) == []


def test_since_reads_only_what_was_written_since(kafka):
    """After a repair only what came behind it counts."""
    for number in range(4):
        write_at(kafka, letter(kafka, b"%d" % number), SOURCE_MS + number * 1000)

    (summary,) = summarize(kafka, Selection(None, SOURCE_MS + 1500), examples=9)

    assert [example.value for example in summary.examples] == ["2", "3"]
    assert (summary.first_ms, summary.last_ms) == (SOURCE_MS + 2000, SOURCE_MS + 3000)
    assert summarize(kafka, Selection(None, SOURCE_MS + 9000), examples=9) == []


def test_no_escape_sequence_reaches_the_output(kafka):
    """In plain text and in tables, whichever part of the dead letter is hostile."""
    text = HOSTILE.decode("latin-1")
    write(kafka, [letter(kafka, HOSTILE, "not_utf8", detail=text), letter(kafka, b"x", text, detail=text)])
    summaries = summarize(kafka, Selection(), examples=3)
    console = Console(width=200, color_system=None, record=True, file=io.StringIO())
    for table in tables("letters", summaries):
        console.print(table)

    for output in ("\n".join(lines(summaries)), console.export_text()):
        assert r'\x1b[31m[bold]{"a": \xff\x00\x07' in output
        assert not {char for char in output if not char.isprintable()} - {"\n"}


def test_only_committed_records_are_read_and_an_aborted_end_is_no_trap(kafka):
    """What an exactly-once instance took back never happened, and a topic that ends with it can be read to its end."""
    record = letter(kafka, b"kept")
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=kafka.group_id)
    producer.init_transactions()
    for value, end in ((b"kept", producer.commit_transaction), (b"taken back", producer.abort_transaction)):
        producer.begin_transaction()
        producer.send(record.topic, value, None, list(record.headers), partition=0).get(timeout=30)
        end()
    producer.close()

    (summary,) = summarize(kafka, Selection(), examples=3)

    assert [example.value for example in summary.examples] == ["kept"]


def test_looking_leaves_no_trace(kafka):
    """No group is made, none is joined: the daemon does not rebalance because somebody looks."""
    write(kafka, [letter(kafka, b"x")])
    summarize(kafka, Selection(), examples=3)

    progress = GroupProgress(kafka)
    groups = {group["group_id"] for group in progress._admin.list_groups()}
    progress.close()
    assert kafka.group_id not in groups
    assert not groups & {"", None, "detector"}


def test_more_than_one_fetch_and_a_stop(kafka):
    """A long topic is read piece by piece, and Ctrl-C ends it with what was seen."""
    write(kafka, [letter(kafka, b"x" * 1000, offset=number) for number in range(3000)])

    (whole,) = summarize(kafka, Selection(), examples=0)
    assert (whole.count, whole.examples) == (3000, [])

    asked = iter([False, True])
    (part,) = summarize(kafka, Selection(), examples=0, stopped=lambda: next(asked, True))
    assert 0 < part.count <= 500


def test_silence_is_told(kafka, monkeypatch):
    """A topic whose broker went away does not keep anybody waiting for ever."""
    monkeypatch.setattr(topic_module, "_SILENCE_S", 0.5)
    partition = Partition(kafka.dead_letter_topic, 0)
    with (
        open_topics(kafka, kafka.dead_letter_topic) as reader,
        pytest.raises(DetectorError, match=r"nothing came for 0.5 s"),
    ):
        list(reader.read({partition: 0}, {partition: 1}, lambda: False))


def test_server_that_is_no_kafka_is_one_line_within_seconds(kafka):
    """A wrong port, or TLS where none is spoken: told, not waited for."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(DetectorError, match=rf"^no broker can be reached: {address}: timed out"):
            summarize(kafka.model_copy(update={"bootstrap_servers": address}), Selection(), examples=3)

    assert time.monotonic() - started < 20
