"""Records that are made to cost time, memory or the service itself."""

import gzip
import io
import json
import signal
import tracemalloc
from time import perf_counter

import lz4.frame
import pytest
import zstandard
from kafka import KafkaProducer

from detector.events.decode import decode
from detector.local.topics import read_topic
from detector.stream.decompression import _DECODERS, MAX_BATCH_BYTES, BatchTooLargeError, bound_decompression
from detector.stream.interfaces import StreamError
from detector.stream.kafka_python import KafkaPythonSource
from tests.contract.test_stream import Heard
from tests.helpers import GOOD, detector, event, kafka_options, running_detector, wait_until

MEBIBYTE = 1024 * 1024
PAIRS = ",".join(f'"{name}":{value}' for name, value in GOOD.items())
HOSTILE = {
    "deep arrays": (b'{"a":' + b"[" * 2_000_000, "not_json"),
    "deep objects": (b'{"a":' * 1_000_000, "not_json"),
    "deep and complete": (f"{{{PAIRS},".encode() + b'"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}", "not_json"),
    "integer of millions of digits": (event().replace(b"381", b"9" * 5_000_000), "out_of_range"),
    "string of millions of digits": (event(processId="9" * 5_000_000), "out_of_range"),
    "number with a huge exponent": (event().replace(b"381", b"1e999999999"), "wrong_type"),
    "unfinished string": (b'{"a":"' + b"x" * 8_000_000, "not_json"),
    "escapes": (b'{"a":"' + b"\\u0000" * 1_000_000 + b'"}', "missing_field"),
    "duplicate keys": (f"{{{','.join([PAIRS] * 50_000)}}}".encode(), None),
    "many keys": (event(**{f"k{n}": n for n in range(400_000)}), None),
    "huge string": (event(args="x" * 8_000_000), None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_costs_little_time_and_memory(name):
    """One record of up to the size limit takes at most seconds and a small multiple of its size."""
    value, reason = HOSTILE[name]
    tracemalloc.start()
    started = perf_counter()

    decoded = decode([value])

    assert perf_counter() - started < 15
    assert tracemalloc.get_traced_memory()[1] < 40 * len(value) + MEBIBYTE
    tracemalloc.stop()
    assert [reject.reason for reject in decoded.rejects] == ([reason] if reason else [])


def produce(kafka, value, compression=None):
    producer = KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers,
        max_request_size=400 * MEBIBYTE,
        compression_type=compression,
    )
    producer.send(kafka.events_topic, value, partition=0).get(timeout=60)
    producer.close()


def test_hostile_records_are_dead_letters_and_the_next_event_is_scored(kafka, model, tmp_path):
    """The daemon survives every one of them, as a dead letter or an alert, and what came after is not kept waiting."""
    bad = [value for value, reason in HOSTILE.values() if reason]
    events = [*(value for value, reason in HOSTILE.values() if not reason), event(userId=10**12)]
    for value in [*bad, *events]:
        produce(kafka, value)

    options = [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]
    with running_detector([*options, "--set", "model.threshold=0"], tmp_path / "log") as daemon:
        wait_until(lambda: daemon.metric("detector_records_consumed_total") == len(bad + events), "every record")
        assert daemon.stop(signal.SIGTERM) == 0

    assert {record.value for record in read_topic(kafka, kafka.dead_letter_topic)} == set(bad)
    assert len(read_topic(kafka, kafka.alerts_topic)) == len(events) > 1


def compress(name, size):
    chunk = bytes(MEBIBYTE)
    packed = io.BytesIO()
    opened = {
        "gzip_decode": lambda: gzip.GzipFile(fileobj=packed, mode="wb"),
        "lz4_decode": lambda: lz4.frame.open(packed, "wb"),
        "zstd_decode": lambda: zstandard.ZstdCompressor().stream_writer(packed, closefd=False),
    }[name]()
    with opened as stream:
        for _ in range(size // len(chunk)):
            stream.write(chunk)
    return packed.getvalue()


@pytest.mark.parametrize("name", _DECODERS)
def test_bomb_is_given_up_at_the_bound(name):
    """A megabyte that stands for many does not end the process for want of memory."""
    bomb = compress(name, MAX_BATCH_BYTES + 64 * MEBIBYTE)
    tracemalloc.start()

    with pytest.raises(BatchTooLargeError, match="unpacks to more than 134217728 bytes"):
        _DECODERS[name](bomb)

    assert tracemalloc.get_traced_memory()[1] < MAX_BATCH_BYTES + 20 * MEBIBYTE
    tracemalloc.stop()


@pytest.mark.parametrize("name", _DECODERS)
def test_what_is_within_the_bound_is_unpacked_whole(name):
    """The bounded decoders replace the library's: they give the same bytes, and are those that it calls."""
    from kafka.record import default_records

    bound_decompression()

    assert getattr(default_records, name)(memoryview(compress(name, 3 * MEBIBYTE))) == bytes(3 * MEBIBYTE)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_bomb_from_a_broker_stops_the_service_with_one_line(kafka, compression):
    """A broker bounds the compressed size only, and takes it; the reader says what it met and what to do."""
    produce(kafka, bytes(MAX_BATCH_BYTES + MEBIBYTE), compression)
    source = KafkaPythonSource(kafka, Heard())

    with pytest.raises(StreamError, match=r"unpacks to more than 134217728 bytes.*kafka-consumer-groups.sh"):
        wait_until(lambda: source.poll(1, 0, 0.2).records, "a refusal")
    source.close(5)


def test_record_beyond_the_limit_stops_the_service_with_one_line(kafka, model):
    """A topic that permits more than the settings: what could not be written whole is not committed as done."""
    produce(kafka, b"x" * 2 * MEBIBYTE)

    options = [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]
    limits = ["--set", f"kafka.max_record_bytes={MEBIBYTE}", "--set", "http.port=0"]
    done = detector(*options, *limits, "run")

    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("detector: ")]
    assert f"topic {kafka.dead_letter_topic} refuses a record of {2 * MEBIBYTE} bytes: MessageSizeTooLarge" in line


def test_json_of_the_tests_is_json():
    """The hostile events that are to be accepted are events to any other reader too."""
    assert all(json.loads(value)["processId"] == 381 for value, reason in HOSTILE.values() if reason is None)
