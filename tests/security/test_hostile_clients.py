"""Many slow clients of the HTTP port, against the whole daemon."""

import contextlib
import signal
import socket
from pathlib import Path

from detector.records import OutgoingRecord
from detector.stream.admin.topics import read_topic
from tests.helpers import kafka_options, running_detector, wait_until, write_all
from tests.security.access import SUSPICIOUS, kafka_python_sink

NUMBER = 1000


def test_thousand_slow_clients_stall_neither_scoring_nor_metrics(kafka, model, tmp_path):
    """Otherwise clients that hold connections open could keep Prometheus out, or delay the scoring of events."""
    options = [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]
    with running_detector(options, tmp_path / "log") as daemon, contextlib.ExitStack() as connections:
        daemon.wait_for_log("partitions_assigned")
        port = daemon.wait_for_log("service_starting")["port"]
        for number in range(NUMBER):
            client = connections.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", port))))
            with contextlib.suppress(ConnectionError):  # closed already, to make room for another
                client.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: " if number % 2 else b"")
        with kafka_python_sink(kafka) as sink:
            write_all(sink, [OutgoingRecord(kafka.events_topic, None, SUSPICIOUS, [])] * NUMBER)

        wait_until(lambda: daemon.metric("detector_records_consumed_total") == NUMBER, "every event scored")
        assert daemon.get("/readyz")[0] == 200
        threads = Path(f"/proc/{daemon.process.pid}/task")
        wait_until(lambda: sum(1 for _ in threads.iterdir()) < 100, "a bounded number of threads")
        assert daemon.stop(signal.SIGTERM) == 0
    assert len(read_topic(kafka, kafka.alerts_topic)) == NUMBER
