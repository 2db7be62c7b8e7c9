"""What the service says, in a form that machines read."""

import json
import logging

import pytest
import structlog

from detector import __version__
from detector.logs import _TELL_SECRETS, configure_logging, toggle_debug


@pytest.fixture
def _as_before():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    for name in ("kafka", *_TELL_SECRETS):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.fixture
def logged(_as_before, capsys):
    """What was logged so far, as JSON lines."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_fields_are_named_as_in_open_telemetry(logged):
    """A collector maps them with one rule; what a line says besides is beside them."""
    configure_logging("info", "json")
    structlog.get_logger("detector.test").warning("records were refused", topic="alerts")

    (line,) = logged()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "severity_text": "WARN",
        "severity_number": 13,
        "body": "records were refused",
        "scope.name": "detector.test",
        "service.name": "detector",
        "service.version": __version__,
        "topic": "alerts",
    }


def test_libraries_and_exceptions_have_the_same_form(logged):
    """A traceback is one line, whoever logs it."""
    configure_logging("info", "json")
    try:
        int("no")
    except ValueError:
        logging.getLogger("library").exception("it %s", "failed")
    logging.getLogger("library").critical("worse")

    failed, worse = logged()
    assert (failed["body"], failed["severity_number"]) == ("it failed", 17)
    assert "ValueError: invalid literal" in failed["exception.stacktrace"]
    assert (worse["severity_text"], worse["severity_number"]) == ("FATAL", 21)


def test_debug_is_switched_on_and_off(logged):
    """Both ways, and from a configured level of debug to info and back."""
    configure_logging("info", "json")
    log = structlog.get_logger("detector.test")
    log.debug("1")
    toggle_debug("warning")
    log.debug("2")
    toggle_debug("warning")
    log.info("3")
    log.warning("4")
    toggle_debug("debug")
    toggle_debug("debug")
    log.info("5")
    log.debug("6")

    assert [line["body"] for line in logged()] == ["2", "4", "5"]
