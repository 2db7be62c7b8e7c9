"""Records that are made to use up time or memory, or to stop the service."""

import gzip
import io
import json
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import perf_counter
from typing import Any

import lz4.frame
import pytest
import zstandard
from kafka import KafkaProducer

from detector.events.decode import Decoder
from detector.events.source import load_source
from detector.features.beth import BETH
from detector.settings import KafkaSettings
from detector.stream.admin.topics import read_topic
from detector.stream.interfaces import StreamError
from detector.stream.kafka_python.patches.bounded_decompression import (
    _DECOMPRESS,
    MAX_BATCH_BYTES,
    BatchTooLargeError,
    bound_decompression,
)
from detector.stream.kafka_python.source import KafkaPythonSource
from tests.helpers import GOOD, detector, event, kafka_options, running_detector, wait_until
from tests.stream.listeners import RecordingListener

MEBIBYTE = 1024 * 1024
PAIRS = ",".join(f'"{name}":{value}' for name, value in GOOD.items())
HOSTILE: dict[str, tuple[bytes, str | None]] = {
    "deep arrays": (b'{"a":' + b"[" * 2_000_000, "not_json"),
    "deep objects": (b'{"a":' * 1_000_000, "not_json"),
    "deep in a valid event": (f"{{{PAIRS},".encode() + b'"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}", "not_json"),
    "integer of millions of digits": (event().replace(b"381", b"9" * 5_000_000), "out_of_range"),
    "string of millions of digits": (event(processId="9" * 5_000_000), "out_of_range"),
    "number with a huge exponent": (event().replace(b"381", b"1e999999999"), "wrong_type"),
    "unfinished string": (b'{"a":"' + b"x" * 8_000_000, "not_json"),
    "escapes": (b'{"a":"' + b"\\u0000" * 1_000_000 + b'"}', "missing_field"),
    "duplicate keys": (f"{{{','.join([PAIRS] * 50_000)}}}".encode(), None),
    "many keys": (event(**{f"k{n}": n for n in range(400_000)}), None),
    "huge string": (event(args="x" * 8_000_000), None),
}


@contextmanager
def traced_memory() -> Iterator[Callable[[], int]]:
    """Yields a function that returns the largest memory use since the start of the block, bytes."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_costs_little_time_and_memory(name):
    """Otherwise one hostile record could block the service for minutes, or use up its memory."""
    value, reason = HOSTILE[name]
    decode = Decoder(load_source("beth"), BETH.fields)
    with traced_memory() as peak_bytes:
        started = perf_counter()

        decoded = decode([value])

        assert perf_counter() - started < 15
        assert peak_bytes() < 40 * len(value) + MEBIBYTE
    assert [record.reason for record in decoded.invalid] == ([reason] if reason else [])


def produce(kafka: KafkaSettings, value: bytes, compression: str | None = None) -> None:
    """Write one record, however large, to partition 0 of the events topic."""
    opened = KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers,
        max_request_size=400 * MEBIBYTE,
        compression_type=compression,
    )
    with closing(opened) as producer:
        producer.send(kafka.events_topic, value, partition=0).get(timeout=60)


def test_hostile_records_are_dead_letters_and_the_next_event_is_scored(kafka, model, tmp_path):
    """Otherwise a hostile record could stop the daemon, or keep it from scoring the events that follow."""
    invalid = [value for value, reason in HOSTILE.values() if reason]
    events = [*(value for value, reason in HOSTILE.values() if not reason), event(userId=10**12)]
    for value in [*invalid, *events]:
        produce(kafka, value)

    options = [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]
    with running_detector([*options, "--set", "model.threshold=0"], tmp_path / "log") as daemon:
        wait_until(
            lambda: daemon.metric("detector_records_consumed_total") == len(invalid) + len(events), "every record"
        )
        assert daemon.stop(signal.SIGTERM) == 0

    assert {record.value for record in read_topic(kafka, kafka.dead_letter_topic)} == set(invalid)
    assert len(read_topic(kafka, kafka.alerts_topic)) == len(events) > 1


def compress(name: str, size: int) -> bytes:
    """Zeros of this size, compressed for the decoder with this name."""
    chunk = bytes(MEBIBYTE)
    packed = io.BytesIO()
    opened: Any = {
        "gzip_decode": lambda: gzip.GzipFile(fileobj=packed, mode="wb"),
        "lz4_decode": lambda: lz4.frame.open(packed, "wb"),
        "zstd_decode": lambda: zstandard.ZstdCompressor().stream_writer(packed, closefd=False),
    }[name]()
    with opened as stream:
        for _ in range(size // len(chunk)):
            stream.write(chunk)
    return packed.getvalue()


@pytest.mark.parametrize("name", _DECOMPRESS)
def test_decompression_bomb_is_rejected_at_the_limit(name):
    """Otherwise a small batch could use up the memory when it is decompressed."""
    bomb = compress(name, MAX_BATCH_BYTES + 64 * MEBIBYTE)
    with traced_memory() as peak_bytes:
        with pytest.raises(BatchTooLargeError, match="134217728 bytes"):
            _DECOMPRESS[name](bomb)

        assert peak_bytes() < MAX_BATCH_BYTES + 20 * MEBIBYTE


@pytest.mark.parametrize("name", _DECOMPRESS)
def test_batch_within_the_limit_is_decompressed_completely(name):
    """Otherwise records would be damaged, or the library would still use its decoders that have no limit."""
    from kafka.record import default_records

    bound_decompression()

    assert getattr(default_records, name)(memoryview(compress(name, 3 * MEBIBYTE))) == bytes(3 * MEBIBYTE)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_decompression_bomb_on_a_broker_is_one_error(kafka, compression):
    """Otherwise a batch that brokers accept could use up the memory, or its error would not say what to do."""
    produce(kafka, bytes(MAX_BATCH_BYTES + MEBIBYTE), compression)
    source = KafkaPythonSource(kafka, RecordingListener())
    try:
        with pytest.raises(StreamError, match=r"134217728 bytes.*kafka-consumer-groups.sh"):
            wait_until(lambda: source.poll(1, 0, 0.2).records, "the error")
    finally:
        source.close(5)


def test_record_larger_than_the_limit_stops_the_service_with_one_line(kafka, model):
    """Otherwise the record would be committed and lost, because its dead letter cannot be written."""
    produce(kafka, b"x" * 2 * MEBIBYTE)

    options = [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]
    limits = ["--set", f"kafka.max_record_bytes={MEBIBYTE}", "--set", "http.port=0"]
    done = detector(*options, *limits, "run")

    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("detector: ")]
    assert f"topic {kafka.dead_letter_topic} rejects a record of {2 * MEBIBYTE} bytes: MessageSizeTooLarge" in line


def test_hostile_events_that_are_valid_are_valid_json():
    """Otherwise the tests above would call an event valid that other JSON parsers reject."""
    assert all(json.loads(value)["processId"] == 381 for value, reason in HOSTILE.values() if reason is None)
