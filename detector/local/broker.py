"""The embedded broker: a single Apache Kafka node that runs as long as this process."""

import contextlib
import fcntl
import shutil
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import IO, Self

from detector.errors import DetectorError
from detector.local.guarded_process import GuardedProcess
from detector.local.kafka_distribution import java_command
from detector.process.signals import StopRequest, stop_on_signals
from detector.settings import KafkaSettings
from detector.stream.admin.topics import create_topics

_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 30.0
_STARTED = "Kafka Server started"
_JVM = ["-XX:+UseG1GC", "-XX:-UsePerfData"]
_HEAP_MB = 512
_CHECK_EVERY_S = 0.05
_TOPIC_PARTITIONS = 4


class EmbeddedBroker:
    """Apache Kafka in KRaft mode on 127.0.0.1; a context manager that starts and stops it.

    Args:
        port: the port to serve on; 0 picks a free one.
        data_dir: folder that keeps the data over restarts; None creates a folder that is removed at the end.
        properties: additional or replaced server properties.
        listeners: additional listeners, each on a free port: name -> security protocol, such as SASL_SSL.
        heap_mb: largest heap of the JVM, MB; Kafka's own scripts set 1024.
    """

    def __init__(
        self,
        port: int = 0,
        data_dir: Path | None = None,
        properties: dict[str, str] | None = None,
        listeners: dict[str, str] | None = None,
        heap_mb: int = _HEAP_MB,
    ) -> None:
        self._port = port
        self._jvm = [*_JVM, f"-Xms{heap_mb // 2}m", f"-Xmx{heap_mb}m"]
        self._owns_data = data_dir is None
        self._data_dir = data_dir
        self._properties = properties or {}
        self._protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **(listeners or {})}
        self._ports: dict[str, int] = {}
        self._process: GuardedProcess | None = None
        self._lock: IO[str] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """HOST:PORT for clients."""
        return f"127.0.0.1:{self._port}"

    def address(self, listener: str) -> str:
        """HOST:PORT of one of the listeners."""
        return f"127.0.0.1:{self._ports[listener]}"

    @property
    def data_dir(self) -> Path:
        """Where the broker keeps its topics, its configuration and its log."""
        if self._data_dir is None:
            raise DetectorError("the embedded broker has no data directory before it is started: call start() first")
        return self._data_dir

    @property
    def log_file(self) -> Path:
        """The broker's log."""
        return self.data_dir / "broker.log"

    def start(self) -> Self:
        """Start the broker and wait until it is ready.

        Raises:
            DetectorError: the port or the folder is in use, or Kafka did not start (with the end of its log).
        """
        java = java_command()
        self._port = _free_port(self._port)
        self._data_dir = self._data_dir or Path(mkdtemp(prefix="detector-broker-"))
        self._lock = _lock(self._data_dir)
        try:
            config = self._write_config()
            self._format(java, config)
            self._process = GuardedProcess(
                [*java[:1], *self._jvm, *_logging(), *java[1:], "kafka.Kafka", str(config)],
                log_file=self.log_file,
                remove_at_end=self.data_dir if self._owns_data else None,
                keep_open=[self._lock],  # the folder stays locked until the broker itself has ended
            )
            self._wait_until_started(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the broker and wait until it has ended."""
        if self._process is not None:
            self._process.stop(_STOP_TIMEOUT_S)
        elif self._owns_data and self._data_dir is not None:
            shutil.rmtree(self._data_dir, ignore_errors=True)  # no guard was started that would remove it
        if self._lock is not None:
            self._lock.close()

    def is_running(self) -> bool:
        """Whether the broker is running."""
        return self._process is not None and self._process.is_running()

    def log_tail(self) -> str:
        """The last lines of the broker's log."""
        return self._process.log_tail() if self._process else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_config(self) -> Path:
        self._ports = {name: self._port if name == "PLAINTEXT" else _free_port(0) for name in self._protocols}
        listeners = {name: f"{name}://{self.address(name)}" for name in self._protocols}
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{self.address('CONTROLLER')}",
            "listeners": ",".join(listeners.values()),
            "advertised.listeners": ",".join(url for name, url in listeners.items() if name != "CONTROLLER"),
            "listener.security.protocol.map": ",".join(f"{name}:{spoken}" for name, spoken in self._protocols.items()),
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.data_dir / "topics"),
            "num.partitions": "4",
            "offsets.topic.num.partitions": "4",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # After a crash the broker cannot register until the session of its previous process has expired.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            # An alert contains its whole event, and the detector reads records of up to 10 MiB.
            "message.max.bytes": str(12 * 1024 * 1024),
            **self._properties,
        }
        config = self.data_dir / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        return config

    def _format(self, java: list[str], config: Path) -> None:
        if (self.data_dir / "topics" / "meta.properties").exists():
            return
        command = [*java[:1], "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *java[1:]]
        command += ["kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DetectorError(
                f"Kafka could not format {self.data_dir} for its data; its output:\n{done.stdout}{done.stderr}".rstrip()
            )

    def _wait_until_started(self, process: GuardedProcess) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while _STARTED not in process.log():
            if not process.is_running():
                raise DetectorError(f"Apache Kafka exited while starting; its log ends:\n{process.log_tail()}")
            if time.monotonic() > deadline:
                raise DetectorError(
                    f"Apache Kafka did not start within {_START_TIMEOUT_S:g} s; its log ends:\n{process.log_tail()}"
                )
            time.sleep(_CHECK_EVERY_S)


def serve(
    kafka: KafkaSettings, port: int, data_dir: Path | None, *, create: bool, announce: Callable[[str], None]
) -> None:
    """Run a broker until a stop signal; announces `ready HOST:PORT` once it is ready.

    Raises:
        DetectorError: it could not start, or exited unexpectedly.
    """
    stop = StopRequest()
    with stop_on_signals(stop), EmbeddedBroker(port, data_dir) as broker:
        if create:
            create_topics(kafka.model_copy(update={"bootstrap_servers": broker.bootstrap_servers}), _TOPIC_PARTITIONS)
        announce(f"ready {broker.bootstrap_servers}")
        while broker.is_running():
            if stop.wait(_CHECK_EVERY_S):
                return
        raise DetectorError(f"Apache Kafka exited unexpectedly; its log ends:\n{broker.log_tail()}")


def _cluster_id() -> str:
    """A random id in Kafka's form, without a leading dash, which would be parsed as an option."""
    first, *rest = uuid.uuid4().bytes
    return urlsafe_b64encode(bytes([first & 0x7F, *rest])).decode().rstrip("=")


def _logging() -> list[str]:
    simple = "-Dorg.slf4j.simpleLogger."
    return [
        f"{simple}showDateTime=true",
        f"{simple}dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
        f"{simple}showThreadName=false",
    ]


def _free_port(wanted: int) -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise DetectorError(
                f"port {wanted} on 127.0.0.1 is not free: {error.strerror}; choose another --port"
            ) from error
        port: int = probe.getsockname()[1]
        return port


def _lock(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a+")
    except OSError as error:
        raise DetectorError(
            f"{folder}: cannot keep the broker's data there: {error.strerror}; choose another --data-dir"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise DetectorError(
            f"{folder}: another broker is using this folder; stop it, or choose another --data-dir"
        ) from None
    return lock
