"""A real Alertmanager with the repository's configuration: which alerts are told, and which are held back."""

import json
import shutil
import socket
import subprocess
import urllib.request

import pytest

from tests.deploy.queries import DEPLOY
from tests.helpers import wait_until

_BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = pytest.mark.skipif(
    _BINARY is None, reason="no Alertmanager is installed: `make prometheus` installs it with Debian's package manager"
)


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory):
    """The address of one that knows nothing yet."""
    folder = tmp_path_factory.mktemp("alertmanager")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        _BINARY,
        f"--config.file={DEPLOY / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            wait_until(lambda: _answers(address), f"alertmanager, log: {folder / 'log'}")
            yield address
        finally:
            process.kill()


def _answers(address):
    try:
        return _ask(address) is not None
    except OSError:
        return False


def _ask(address, alerts=None):
    request = urllib.request.Request(f"http://{address}/api/v2/alerts", headers={"Content-Type": "application/json"})
    if alerts is not None:
        request.data = json.dumps(alerts).encode()
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read() or b"null")


def _alert(name, severity, job, instance=None):
    labels = {"alertname": name, "severity": severity, "job": job} | ({"instance": instance} if instance else {})
    return {"labels": labels}


@pytest.mark.parametrize(
    ("job", "cause", "held_back", "told"),
    [
        (
            "dead-letters",
            _alert("DetectorDeadLettersNearLimit", "critical", "dead-letters"),
            _alert("DetectorDeadLetters", "warning", "dead-letters"),
            _alert("DetectorLag", "warning", "dead-letters", "a"),
        ),
        (
            "absent",
            _alert("DetectorAbsent", "critical", "absent"),
            _alert("DetectorLag", "warning", "absent", "a"),
            _alert("DetectorModelRefused", "critical", "absent", "a"),
        ),
        *(
            (
                name,
                _alert(name, "critical", name, "a"),
                _alert("DetectorLag", "warning", name, "a"),
                _alert("DetectorLag", "warning", name, "b"),
            )
            for name in ("DetectorDown", "DetectorNoProgress")
        ),
    ],
)
def test_what_follows_from_an_alert_is_held_back(alertmanager, job, cause, held_back, told):
    """Whoever is called at 3 a.m. hears of the cause once, and of nothing that it explains; of all else as ever."""
    _ask(alertmanager, [cause, held_back, told])

    def seen():
        states = {
            (alert["labels"]["alertname"], alert["labels"].get("instance")): alert["status"]["state"]
            for alert in _ask(alertmanager)
            if alert["labels"]["job"] == job
        }
        alerts = (cause, held_back, told)
        return [states.get((alert["labels"]["alertname"], alert["labels"].get("instance"))) for alert in alerts]

    wait_until(lambda: seen() == ["active", "suppressed", "active"], f"{held_back} suppressed, and nothing else")
