"""Summaries of the dead-letter topic, read from a real broker."""

import io
import socket
import time
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from rich.console import Console

from detector.dead_letters.letter import ATTEMPT
from detector.dead_letters.selection import Selection
from detector.dead_letters.show import OTHER, lines, summarize
from detector.dead_letters.tables import tables
from detector.errors import DetectorError
from detector.records import OutgoingRecord, Partition
from detector.stream.admin import reader as reader_module
from detector.stream.admin.reader import open_reader
from tests.dead_letters.written import SOURCE_MS, new_dead_letter, write, write_at

HOSTILE = b'\x1b[31m[bold]{"a": \xff\x00\x07'


def test_reasons_are_counted_with_times_and_a_few_examples(kafka):
    """Otherwise an operator would not see what is wrong, since when, and what the records look like."""
    started_ms = time.time() * 1000
    many = [
        new_dead_letter(kafka, b"%d" % number, "not_an_object", detail="a JSON number", offset=number)
        for number in range(7)
    ]
    write(kafka, [*many, new_dead_letter(kafka, None, "tombstone", detail="null value", headers=[(ATTEMPT, b"2")])])

    first, second = summarize(kafka, Selection(), examples=3)

    assert (first.reason, first.count, len(first.examples)) == ("not_an_object", 7, 3)
    assert (second.reason, second.count, len(second.examples)) == ("tombstone", 1, 1)
    assert started_ms - 1000 < first.first_ms <= first.last_ms < time.time() * 1000 + 1000
    (example,) = second.examples
    assert (example.source, example.time) == (f"{kafka.events_topic}/3/42", "2023-11-14T22:13:20Z")
    assert (example.detail, example.value) == ("null value; replayed 2 times before", "(null)")


def test_records_of_others_are_counted_separately(kafka):
    """Otherwise foreign records would be missing from the summary, or their invented reasons would fill the memory."""
    foreign = OutgoingRecord(kafka.dead_letter_topic, None, b"?", [("dead-letter-reason", b"mine")])
    write(kafka, [foreign, new_dead_letter(kafka, b"x", "bored\x1b[2J", detail="d")])

    (summary,) = summarize(kafka, Selection(), examples=3)

    assert (summary.reason, summary.count) == (OTHER, 2)
    assert {example.detail for example in summary.examples} == {
        "not written by detector",
        r"bored\x1b[2J: d",
    }
    assert summarize(kafka, Selection("not_json"), examples=3) == []


def test_since_reads_only_what_was_written_since(kafka):
    """Otherwise an operator could not see whether new dead letters were written after a fix."""
    for number in range(4):
        write_at(kafka, new_dead_letter(kafka, b"%d" % number), SOURCE_MS + number * 1000)

    (summary,) = summarize(kafka, Selection(None, SOURCE_MS + 1500), examples=9)

    assert [example.value for example in summary.examples] == ["2", "3"]
    assert (summary.first_ms, summary.last_ms) == (SOURCE_MS + 2000, SOURCE_MS + 3000)
    assert summarize(kafka, Selection(None, SOURCE_MS + 9000), examples=9) == []


def test_no_escape_sequence_reaches_the_output(kafka):
    """Otherwise a hostile record could control an operator's terminal."""
    text = HOSTILE.decode("latin-1")
    write(
        kafka,
        [new_dead_letter(kafka, HOSTILE, "not_utf8", detail=text), new_dead_letter(kafka, b"x", text, detail=text)],
    )
    summaries = summarize(kafka, Selection(), examples=3)
    console = Console(width=200, color_system=None, record=True, file=io.StringIO())
    for table in tables("dead-letters", summaries):
        console.print(table)

    for output in ("\n".join(lines(summaries)), console.export_text()):
        assert r'\x1b[31m[bold]{"a": \xff\x00\x07' in output
        assert not {char for char in output if not char.isprintable()} - {"\n"}


def test_records_of_aborted_transactions_are_not_read(kafka):
    """Otherwise discarded dead letters would be counted, or the command would hang on a topic that ends with them."""
    record = new_dead_letter(kafka, b"")
    opened = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=kafka.group_id)
    with closing(opened) as producer:
        producer.init_transactions()
        for value, end in ((b"committed", producer.commit_transaction), (b"aborted", producer.abort_transaction)):
            producer.begin_transaction()
            producer.send(record.topic, value, None, list(record.headers), partition=0).get(timeout=30)
            end()

    (summary,) = summarize(kafka, Selection(), examples=3)

    assert [example.value for example in summary.examples] == ["committed"]


def test_reading_creates_no_consumer_group(kafka):
    """Otherwise a look at dead letters would cause a rebalance of the daemon's group."""
    write(kafka, [new_dead_letter(kafka, b"x")])
    summarize(kafka, Selection(), examples=3)

    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)) as admin:
        groups = {group["group_id"] for group in admin.list_groups()}
    assert kafka.group_id not in groups
    assert not groups & {"", None, "detector"}


def test_long_topic_is_read_completely_or_until_a_stop_request(kafka):
    """Otherwise a long topic would be cut off, or Ctrl-C would discard what was read."""
    write(kafka, [new_dead_letter(kafka, b"x" * 1000, offset=number) for number in range(3000)])

    (whole,) = summarize(kafka, Selection(), examples=0)
    assert (whole.count, whole.examples) == (3000, [])

    stop_requests = iter([False, True])
    (part,) = summarize(kafka, Selection(), examples=0, stopped=lambda: next(stop_requests, True))
    assert 0 < part.count <= 500


def test_reading_ends_with_an_error_without_progress(kafka, monkeypatch):
    """Otherwise the command would wait without end for an unavailable broker."""
    monkeypatch.setattr(reader_module, "_NO_PROGRESS_S", 0.5)
    partition = Partition(kafka.dead_letter_topic, 0)
    with (
        open_reader(kafka, kafka.dead_letter_topic) as reader,
        pytest.raises(DetectorError, match=r"no record arrived for 0.5 s; check that the brokers are up"),
    ):
        list(reader.read({partition: 0}, {partition: 1}, lambda: False))


def test_server_that_is_not_kafka_is_one_line_within_seconds(kafka):
    """Otherwise the command would hang when its user gives a wrong port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(DetectorError, match=rf"^Kafka brokers unreachable: {address}: timed out"):
            summarize(kafka.model_copy(update={"bootstrap_servers": address}), Selection(), examples=3)

    assert time.monotonic() - started < 20
