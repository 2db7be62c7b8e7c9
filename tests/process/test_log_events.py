"""The log events: alerts, runbooks and log queries use their names."""

import ast
import json
import re
from pathlib import Path

import pytest

import detector
from detector.process import log_events
from detector.process.log_event import LogEvent
from detector.process.log_events import LOG_EVENTS
from detector.process.logs import configure_logging

PACKAGE = Path(detector.__file__).parent
CONSTANTS = {name: event for name, event in vars(log_events).items() if isinstance(event, LogEvent)}
RECOVERIES = ("brokers_recovered", "delivery_recovered", "records_accepted", "transactions_recovered")


def used_names() -> set[str]:
    """The names from `log_events` that the package uses outside of that module."""
    trees = [ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py") if path.name != "log_events.py"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_every_event_is_logged_somewhere():
    """Otherwise the reference page would describe lines that the service never writes."""
    assert CONSTANTS.keys() - used_names() == set()


def test_names_are_unique_and_in_snake_case():
    """Otherwise a log query by name would find two kinds of lines."""
    assert len({event.name for event in LOG_EVENTS}) == len(LOG_EVENTS) == len(CONSTANTS)
    for constant, event in CONSTANTS.items():
        assert re.fullmatch("[a-z]+(_[a-z]+)*", event.name)
        assert constant == event.name.upper()


@pytest.mark.parametrize("event", LOG_EVENTS, ids=lambda event: event.name)
def test_event_says_what_it_means_and_what_to_do(event):
    """Otherwise an operator would not learn from the log or the reference page what to do."""
    assert event.text[0].isupper()
    assert not event.text.endswith(".")
    assert event.meaning.endswith(".")
    assert event.action.endswith(".")


@pytest.mark.parametrize("event", LOG_EVENTS, ids=lambda event: event.name)
def test_json_line_has_the_name_and_the_text(event, restored_logging, logged):
    """Otherwise machines could not match lines by `event`, or people would miss the text in `body`."""
    configure_logging("debug", "json")

    event.log(number=7)

    (line,) = logged()
    assert (line["event"], line["body"], line["number"]) == (event.name, event.text, 7)
    assert line["severity_text"] == {"warning": "WARN"}.get(event.level, event.level.upper())
    assert line["scope.name"] == event.logger


def test_recoveries_are_no_warnings():
    """Otherwise a pager that counts warnings would ring because an outage is over."""
    levels = {event.name: event.level for event in LOG_EVENTS}

    assert {levels[name] for name in RECOVERIES} == {"info"}


def test_the_package_logs_only_events_of_the_list():
    """Otherwise no log query would find the line, and no reference page would explain it."""
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
    """Otherwise a bug, perhaps before the settings are read, would leave no traceback in the log."""
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
