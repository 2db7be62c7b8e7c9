"""Start, stop, debug logging and systemd, with the real command."""

import contextlib
import signal
import socket
import time

from tests.helpers import kafka_options, running_detector, wait_until


def model_options(model):
    return ["--set", f"model.path={model}", "--set", "model.engine=numpy"]


def test_systemd_is_notified_of_start_reload_and_stop(kafka, model, tmp_path):
    """Otherwise systemd would start dependent units too early, or think that a start or reload never ends."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(60)
        received: list[str] = []

        def receive_until(state: str) -> None:
            while state not in received:
                received.extend(manager.recv(4096).decode().split("\n"))

        options = [*kafka_options(kafka), *model_options(model)]
        with running_detector(options, tmp_path / "log", NOTIFY_SOCKET=address, WATCHDOG_USEC="1000000") as daemon:
            receive_until("READY=1")
            receive_until("WATCHDOG=1")
            daemon.wait_for_log("partitions_assigned")
            received.clear()
            daemon.process.send_signal(signal.SIGHUP)
            receive_until("RELOADING=1")
            assert any(state.startswith("MONOTONIC_USEC=") for state in received)
            receive_until("READY=1")
            assert daemon.stop(signal.SIGTERM) == 0
            receive_until("STOPPING=1")
            assert daemon.logged("service_stopping")


def test_signal_switches_debug_on_and_off(tmp_path, model):
    """Otherwise an operator would need a restart to see more of the service, which might hide the problem."""
    with socket.create_server(("127.0.0.1", 0)) as unresponsive:
        broker = f"kafka.bootstrap_servers=127.0.0.1:{unresponsive.getsockname()[1]}"
        options = ["--set", broker, *model_options(model), "--set", "log.format=json"]
        with running_detector(options, tmp_path / "log") as daemon:

            def is_request_logged() -> bool:
                before = daemon.log_count("http_request")
                daemon.get("/readyz")
                return daemon.log_count("http_request") > before

            daemon.get("/healthz")
            daemon.process.send_signal(signal.SIGUSR1)
            wait_until(is_request_logged, "lines of level debug")
            # The line of the request before the signal may be written after it.
            wait_until(lambda: "GET /readyz" in daemon.wait_for_log("http_request")["request"], "the request's line")
            assert daemon.wait_for_log("http_request")["severity_text"] == "DEBUG"
            daemon.process.send_signal(signal.SIGUSR1)
            wait_until(lambda: not is_request_logged(), "the end of the lines of level debug")
            assert daemon.stop(signal.SIGTERM) == 0


def test_stop_does_not_wait_for_unresponsive_brokers(tmp_path, model):
    """Otherwise a stop could take 10 s for each broker that does not respond."""
    with contextlib.ExitStack() as servers:
        unresponsive = [servers.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        addresses = ",".join(f"127.0.0.1:{server.getsockname()[1]}" for server in unresponsive)
        options = ["--set", f"kafka.bootstrap_servers={addresses}", *model_options(model)]
        with running_detector(options, tmp_path / "log") as daemon:
            daemon.wait_for_log("waiting_for_kafka")
            started = time.monotonic()
            assert daemon.stop(signal.SIGTERM) == 0
            assert time.monotonic() - started < 5
            assert daemon.logged("service_stopped_before_connecting")
