"""A real Alertmanager with the repository's configuration: which alerts notify somebody, and which are inhibited."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.queries import DEPLOY
from tests.deploy.servers import free_address, running
from tests.helpers import wait_until

_BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or ""
pytestmark = pytest.mark.skipif(
    not _BINARY, reason="Alertmanager is not installed: `make prometheus` installs it with Debian's package manager"
)

Alert = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an Alertmanager without alerts."""
    folder = tmp_path_factory.mktemp("alertmanager")
    address = free_address()
    command = [
        _BINARY,
        f"--config.file={DEPLOY / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with running(command, folder / "log"):
        wait_until(lambda: _is_up(address), f"alertmanager, log: {folder / 'log'}")
        yield address


def _is_up(address: str) -> bool:
    try:
        return _request(address) is not None
    except OSError:
        return False


def _request(address: str, new_alerts: list[Alert] | None = None) -> Any:
    """Post new alerts or, without any, return all alerts."""
    request = urllib.request.Request(f"http://{address}/api/v2/alerts", headers={"Content-Type": "application/json"})
    if new_alerts is not None:
        request.data = json.dumps(new_alerts).encode()
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read() or b"null")


def _alert(name: str, severity: str, job: str, instance: str | None = None) -> Alert:
    labels = {"alertname": name, "severity": severity, "job": job} | ({"instance": instance} if instance else {})
    return {"labels": labels}


@pytest.mark.parametrize(
    ("job", "cause", "inhibited", "unrelated"),
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
def test_consequences_of_an_alert_are_inhibited(
    alertmanager: str, job: str, cause: Alert, inhibited: Alert, unrelated: Alert
) -> None:
    """Otherwise the person on call would get many alerts for one cause, or miss an alert that is unrelated to it."""
    alerts = cause, inhibited, unrelated
    _request(alertmanager, list(alerts))

    def states() -> list[str | None]:
        found = {
            (alert["labels"]["alertname"], alert["labels"].get("instance")): alert["status"]["state"]
            for alert in _request(alertmanager)
            if alert["labels"]["job"] == job
        }
        return [found.get((alert["labels"]["alertname"], alert["labels"].get("instance"))) for alert in alerts]

    wait_until(lambda: states() == ["active", "suppressed", "active"], f"only {inhibited} is suppressed")
