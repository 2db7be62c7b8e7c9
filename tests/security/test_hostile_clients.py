"""Clients of the metrics' port that are slow, many, or both, against the whole daemon."""

import contextlib
import signal
import socket
from pathlib import Path

from detector.local.topics import read_topic
from detector.records import OutgoingRecord
from detector.stream.kafka_python import KafkaPythonSink
from tests.helpers import event, kafka_options, running_detector, wait_until

NUMBER = 1000


def test_thousand_slow_clients_stall_neither_scoring_nor_metrics(kafka, model, tmp_path):
    """Whoever reaches the port can neither keep Prometheus out nor keep events from being scored."""
    options = [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]
    with running_detector(options, tmp_path / "log") as daemon, contextlib.ExitStack() as held:
        daemon.wait_for_log("partitions assigned")
        port = daemon.logged("detector starts")["port"]
        for number in range(NUMBER):
            client = held.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", port))))
            with contextlib.suppress(ConnectionError):  # ended already, for another
                client.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: " if number % 2 else b"")
        sink = KafkaPythonSink(kafka)
        sink.send([OutgoingRecord(kafka.events_topic, None, event(userId=10**12), []) for _ in range(NUMBER)])
        sink.close(10)

        wait_until(lambda: daemon.metric("detector_records_consumed_total") == NUMBER, "every event scored")
        assert daemon.get("/readyz")[0] == 200
        threads = Path(f"/proc/{daemon.process.pid}/task")
        wait_until(lambda: sum(1 for _ in threads.iterdir()) < 100, "a bounded number of threads")
        assert daemon.stop(signal.SIGTERM) == 0
    assert len(read_topic(kafka, kafka.alerts_topic)) == NUMBER
