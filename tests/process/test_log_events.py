"""The log events: alerts, runbooks and log queries use their names."""

import ast
import json
import re
from pathlib import Path

import pytest

import detector
from detector.process import log_events
from detector.process.log_events import LOG_EVENTS, LogEvent
from detector.process.logs import configure_logging

PACKAGE = Path(detector.__file__).parent
CONSTANTS = {name: event for name, event in vars(log_events).items() if isinstance(event, LogEvent)}
RECOVERIES = ("brokers_recovered", "delivery_recovered", "records_accepted", "transactions_recovered")


def used_names() -> set[str]:
    """The attributes `log_events.NAME` and imported names in the package, outside of the list itself."""
    trees = [ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py") if path.name != "log_events.py"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_every_event_is_logged_somewhere():
    """The reference page must not describe lines that the service never writes."""
    assert CONSTANTS.keys() - used_names() == set()


def test_names_are_unique_and_in_snake_case():
    """A log query by name finds exactly one kind of line, and the constant of an event is found by its name."""
    assert len({event.name for event in LOG_EVENTS}) == len(LOG_EVENTS) == len(CONSTANTS)
    for constant, event in CONSTANTS.items():
        assert re.fullmatch("[a-z]+(_[a-z]+)*", event.name)
        assert constant == event.name.upper()


@pytest.mark.parametrize("event", LOG_EVENTS, ids=lambda event: event.name)
def test_event_says_what_it_means_and_what_to_do(event):
    """A user at 3 a.m. reads the text, and the reference page says when it is written and what to do."""
    assert event.text[0].isupper()
    assert not event.text.endswith(".")
    assert event.meaning.endswith(".")
    assert event.action.endswith(".")


@pytest.mark.parametrize("event", LOG_EVENTS, ids=lambda event: event.name)
def test_json_line_has_the_name_and_the_text(event, restored_logging, logged):
    """Machines match on `event`, people read `body`."""
    configure_logging("debug", "json")

    event.log(number=7)

    (line,) = logged()
    assert (line["event"], line["body"], line["number"]) == (event.name, event.text, 7)
    assert line["severity_text"] == {"warning": "WARN"}.get(event.level, event.level.upper())
    assert line["scope.name"] == event.logger


def test_recoveries_are_no_warnings():
    """A pager that counts warnings must not ring because an outage is over."""
    levels = {event.name: event.level for event in LOG_EVENTS}

    assert {levels[name] for name in RECOVERIES} == {"info"}


def test_the_package_logs_only_events_of_the_list():
    """A line without a name cannot be found by a log query, and is in no reference page."""
    direct = re.compile(r"\b_?log(ger)?\.(debug|info|warning|error|exception|critical)\(")
    found = [
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in PACKAGE.rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if direct.search(line)
        or re.search(r"getLogger\([^)]*\)\.(debug|info|warning|error|exception|critical)\(", line)
    ]

    assert found == []


def test_unexpected_error_is_a_log_event(restored_logging, capsys):
    """A bug is reported with its traceback in one line of the log, even before the settings are read."""
    from detector.__main__ import run_command

    def load():
        raise ZeroDivisionError("a bug")

    with pytest.raises(SystemExit, match="1"):
        run_command(load)

    log, summary = capsys.readouterr().err.splitlines()
    line = json.loads(log)
    assert line["event"] == "unexpected_error"
    assert "ZeroDivisionError: a bug" in line["exception.stacktrace"]
    assert summary == "detector: unexpected error, please report it: ZeroDivisionError: a bug"
