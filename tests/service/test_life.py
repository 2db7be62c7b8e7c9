"""systemd, the watchdog, and a reload under load."""

import contextlib
import json
import signal
import socket
import threading
import time

import pytest
import structlog

from detector.local.demo import SAMPLE
from detector.local.topics import read_topic
from detector.model.folder import CURRENT, MANIFEST, make_current
from detector.service import health as health_module
from detector.service.health import Health
from detector.service.watchdog import watch
from detector.training.data import load_data
from detector.training.recipes import SEED
from detector.training.train import train
from tests.faults.scene import BAD_VALUES, Scene
from tests.helpers import kafka_options, running_detector, wait_until


def test_systemd_hears_of_start_reload_and_stop(kafka, model, tmp_path):
    """`Type=notify`: a unit is up when the service is, and not a moment before."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(60)
        said: list[str] = []

        def hear(state: str) -> None:
            while state not in said:
                said.extend(manager.recv(4096).decode().split("\n"))

        options = [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]
        with running_detector(options, tmp_path / "log", NOTIFY_SOCKET=address, WATCHDOG_USEC="1000000") as daemon:
            hear("READY=1")
            hear("WATCHDOG=1")
            daemon.wait_for_log("partitions assigned")
            said.clear()
            daemon.process.send_signal(signal.SIGHUP)
            hear("RELOADING=1")
            assert any(state.startswith("MONOTONIC_USEC=") for state in said)
            hear("READY=1")
            assert daemon.stop(signal.SIGTERM) == 0
            hear("STOPPING=1")


def test_signal_switches_debug_on_and_off(tmp_path, model):
    """An operator sees more of a service in trouble without the restart that would end the trouble."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = ["--set", f"kafka.bootstrap_servers=127.0.0.1:{silent.getsockname()[1]}"]
        options += ["--set", f"model.path={model}", "--set", "model.engine=numpy", "--set", "log.format=json"]
        with running_detector(options, tmp_path / "log") as daemon:
            daemon.get("/healthz")
            daemon.process.send_signal(signal.SIGUSR1)
            wait_until(lambda: daemon.get("/readyz") and _asked(daemon, "/readyz"), "a line of level debug")
            assert _asked(daemon, "/readyz")["severity_text"] == "DEBUG"
            daemon.process.send_signal(signal.SIGUSR1)
            wait_until(lambda: _unheard(daemon), "silence")
            assert daemon.stop(signal.SIGTERM) == 0


def test_stop_does_not_wait_for_brokers_that_do_not_answer(tmp_path, model):
    """Each may take ten seconds to be given up at the start; nobody who stops the service waits for three of them."""
    with contextlib.ExitStack() as servers:
        silent = [servers.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        addresses = ",".join(f"127.0.0.1:{server.getsockname()[1]}" for server in silent)
        options = ["--set", f"kafka.bootstrap_servers={addresses}"]
        options += ["--set", f"model.path={model}", "--set", "model.engine=numpy"]
        with running_detector(options, tmp_path / "log") as daemon:
            daemon.wait_for_log("waiting")
            started = time.monotonic()
            assert daemon.stop(signal.SIGTERM) == 0
            assert time.monotonic() - started < 5


def _asked(daemon, path):
    line = daemon.logged("http request")
    return line if line and path in line["request"] else None


def _unheard(daemon):
    before = daemon.log_file.read_text().count("http request")
    daemon.get("/readyz")
    return daemon.log_file.read_text().count("http request") == before


def test_stuck_loop_shows_where_it_is_stuck():
    """Before liveness fails and the evidence is restarted away: once, with every thread's stack."""
    health = Health()
    release = threading.Event()

    def stuck_in_this_function():
        release.wait()

    thread = threading.Thread(target=stuck_in_this_function, name="the loop")
    thread.start()
    with structlog.testing.capture_logs() as logged, watch(health, dump_after_s=0.05):
        wait_until(lambda: logged, "the stacks")
        health.sign_of_life()
        first = logged[0]
        wait_until(lambda: len(logged) > 1, "another silence, another line")
    release.set()
    thread.join()

    assert first["event"] == "the loop gives no sign of life"
    (stack,) = (stack for name, stack in first["stacks"].items() if name.startswith("the loop"))
    assert any("stuck_in_this_function" in line for line in stack)


def test_stuck_service_is_not_fed_to_the_watchdog(tmp_path, monkeypatch):
    """The service manager hears of a loop that is alive, and of a stuck one no more, so that it restarts it."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setattr(health_module, "STUCK_AFTER_S", 1.0)
    health = Health()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, watch(health):
        manager.bind(address)
        manager.settimeout(10)
        assert manager.recv(4096) == b"WATCHDOG=1"
        wait_until(health.not_alive_because, "the loop to be called stuck")
        manager.settimeout(0.5)
        with pytest.raises(TimeoutError):  # behind those that were on their way; it is fed ten times a second
            [manager.recv(4096) for _ in range(30)]
        health.sign_of_life()
        assert manager.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("guarantee", ["at-least-once", "exactly-once"])
def test_reload_under_load(kafka, models, scorer, guarantee, tmp_path):
    """Every alert names the model that scored it, and says what that model says; a bad one between changes nothing."""
    folder = tmp_path / "models"
    folder.mkdir()
    versions = []
    for source in (models / CURRENT).resolve(), train(SEED, load_data(SAMPLE, seed=0), tmp_path / "other", seed=1).path:
        (folder / source.name).symlink_to(source)
        versions.append(folder / source.name)
    half = folder / "half"  # what a copy looks like that was not finished
    half.mkdir()
    (half / MANIFEST).write_bytes((versions[0] / MANIFEST).read_bytes())
    make_current(versions[0])
    options = ["--set", f"model.path={folder / CURRENT}", "--set", "model.engine=numpy", "--set", "model.threshold=0"]
    scene = Scene(kafka, scorer, [*options, "--set", f"delivery.guarantee={guarantee}"], tmp_path)
    daemon = scene.start_ready()

    def reloads(result):
        return daemon.metric("detector_model_reloads_total", result=result)

    with scene.flow(rate=500):
        for number in range(1, 4):
            for version, result in (half, "refused"), (versions[number % 2], "loaded"):
                make_current(version)
                wait_until(lambda n=number, r=result: reloads(r) == n, f"a model to be {result}")
    scene.wait_until_committed()
    events = {(r.partition, r.offset): r.value for r in read_topic(kafka, kafka.events_topic)}
    scores: dict[str, dict[tuple[int, int], float]] = {version.name: {} for version in versions}
    for record in read_topic(kafka, kafka.alerts_topic):
        alert = json.loads(record.value)
        place = alert["source"]["partition"], alert["source"]["offset"]
        scores[alert["model"]["version"]][place] = alert["score"]
    scene.close()

    assert all(scores.values())
    alerted = set().union(*scores.values())
    assert alerted == {place for place, value in events.items() if value not in BAD_VALUES}
    from detector.model.folder import load_model
    from detector.service.scoring import Scorer

    for version in versions:
        model = load_model(version)
        own = Scorer(scorer.identity, model.engine("numpy"), "numpy", 0.0)
        places = list(scores[version.name])
        expected = own.score([events[place] for place in places]).scores
        assert expected == pytest.approx([scores[version.name][place] for place in places], abs=1e-6)
    assert (folder / CURRENT).samefile(versions[1])
