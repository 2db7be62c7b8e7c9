"""Writes docs/reference/log-events.md from the list of log events: `python docs/log_events_reference.py`."""

import re
from collections.abc import Iterator
from pathlib import Path

from detector.process.log_event import LogEvent
from detector.process.log_events import LOG_EVENTS

PAGE = Path(__file__).parent / "reference" / "log-events.md"
_INTRODUCTION = """# Log events

All log lines of the service: look here when a line worries you, or when you write a rule on logs. Each line has a name
that does not change between versions: in the field `event` of a JSON line, or `event_name` of a readable line on a
terminal. The text may change. `make docs` writes this page from the code.

Find one kind of line in JSON logs:

<!-- not run: journalctl and jq are tools of your host -->
```console
$ journalctl -u detector -o cat | jq -R 'fromjson? | select(.event == "offset_commit_failed")'
```

The service never writes one line for each process event. Log lines go to standard error: as JSON lines, or as readable
lines if standard error is a terminal (`DETECTOR_LOG__FORMAT`).

## All log events
"""
_AFTER = """
Lines of a library have the event `library_message` and the library's own text. With kafka-python they appear only at
level debug. With librdkafka its warnings and errors always appear, one of each kind per minute: `FAIL` is one failed
connection attempt, and nothing has to be done unless `brokers_not_responding` follows.

## Fields of a JSON line

The field names in this table follow [OpenTelemetry's log data
model](https://opentelemetry.io/docs/specs/otel/logs/data-model/). All fields that are not in the table are attributes.
They are not nested in an `attributes` object but are at the top level, so `jq .reason` prints the reason.

| field | content |
|---|---|
| `timestamp` | RFC 3339, UTC |
| `severity_text`, `severity_number` | `DEBUG` 5, `INFO` 9, `WARN` 13 (the table's WARNING), `ERROR` 17, `FATAL` 21 |
| `event` | the name from the table above |
| `body` | the text |
| `scope.name` | the logger |
| `service.name`, `service.version` | the service |
| `exception.stacktrace` | the stack trace, if there is one |
| any other | an attribute: `reason`, `partition`, `waited_s` … |

## More detail without a restart

SIGUSR1 switches the log level to debug. The next SIGUSR1 switches it back to `DETECTOR_LOG__LEVEL`. At debug, requests
to the HTTP port and the lines of the Kafka client (event `library_message`) are logged too.

<!-- not run: your own host; tests/service/test_lifecycle.py tests the signal, `make compose-test` the second one -->
```console
$ systemctl kill -s USR1 detector
$ docker compose kill -s USR1 detector
```
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_table(), _AFTER])


def _table() -> Iterator[str]:
    yield "| event | level | text | when | do |\n|---|---|---|---|---|"
    for event in LOG_EVENTS:
        yield f"| {' | '.join(_cells(event))} |"


def _cells(event: LogEvent) -> list[str]:
    return [f"`{event.name}`", event.level.upper(), event.text, _linked(event.meaning), _linked(event.action)]


def _linked(text: str) -> str:
    """The text with links to the pages that it names."""
    text = re.sub(r"\b([Rr]unbook) (detector-[\w-]+)", r"\1 [\2](../runbooks/\2.md)", text)
    text = re.sub(r"docs/reference/([\w-]+)\.md", lambda page: f"[{page[1].replace('-', ' ')}]({page[1]}.md)", text)
    return re.sub(r"\bDETECTOR_\w+\b", r"`\g<0>`", text)


if __name__ == "__main__":
    PAGE.write_text(page())
