"""The form of the log lines, and the level of the loggers."""

import logging

import structlog

from detector import __version__
from detector.process.log_events import RECORDS_REJECTED
from detector.process.logs import configure_logging, toggle_debug


def test_fields_are_named_as_in_open_telemetry(logged):
    """Otherwise a log collector would need its own rules for these lines."""
    configure_logging("info", "json")

    RECORDS_REJECTED.log(topic="alerts")

    (line,) = logged()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "severity_text": "WARN",
        "severity_number": 13,
        "body": "Broker rejected records; retrying",
        "event": "records_rejected",
        "scope.name": "detector.stream",
        "service.name": "detector",
        "service.version": __version__,
        "topic": "alerts",
    }


def test_libraries_and_exceptions_have_the_same_form(logged):
    """Otherwise log queries would miss the lines of libraries, and a traceback would be split into many lines."""
    configure_logging("info", "json")
    try:
        int("no")
    except ValueError:
        logging.getLogger("library").exception("it %s", "failed")
    logging.getLogger("library").critical("worse")

    failed, worse = logged()
    assert (failed["event"], failed["body"], failed["severity_number"]) == ("library_message", "it failed", 17)
    assert "ValueError: invalid literal" in failed["exception.stacktrace"]
    assert (worse["event"], worse["severity_text"], worse["severity_number"]) == ("library_message", "FATAL", 21)


def test_people_on_a_terminal_read_the_text_first(restored_logging, capsys):
    """Otherwise people would have to search a line of JSON for what happened."""
    configure_logging("info", "console")

    RECORDS_REJECTED.log(topic="alerts")

    (line,) = capsys.readouterr().err.splitlines()
    text, name, field = (
        line.index(part) for part in ("Broker rejected records; retrying", "records_rejected", "topic=alerts")
    )
    assert text < name
    assert text < field


def test_debug_is_switched_on_and_off(logged):
    """Otherwise the signal could not turn debug lines off again, or on at all."""
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
