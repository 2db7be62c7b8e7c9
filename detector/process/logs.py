"""Logs on standard error: lines for people on a terminal, JSON lines for machines elsewhere."""

import logging
import sys
from typing import Any, Literal

import structlog

from detector import __version__

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]
_SECRET_LOGGERS = ("kafka.admin.client", "kafka.net.connection", "kafka.protocol.parser")
"""Loggers that write options, requests and raw bytes at level debug, passwords among them."""
_SEVERITIES = {"debug": ("DEBUG", 5), "info": ("INFO", 9), "warning": ("WARN", 13), "error": ("ERROR", 17)}
_FATAL = ("FATAL", 21)
LIBRARY_EVENT = "library_message"
"""The event name of lines that a library writes through `logging`."""
_RESOURCE = {"service.name": "detector", "service.version": __version__}


def configure_logging(level: LogLevel, style: LogFormat) -> None:
    """Write the service's lines, and those of every library that uses `logging`, in one form to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _name_library_lines,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(style)],
        )
    )
    logging.getLogger().handlers[:] = [handler]
    _set_level(level)


def configure_default_logging() -> None:
    """Configure logging with the defaults of the settings, unless it is configured; for errors before they are read."""
    if not structlog.is_configured():
        configure_logging("info", "auto")


def toggle_debug(configured: LogLevel) -> None:
    """Log at level debug, or again at the configured one (at info when that is debug); safe in a signal handler."""
    if logging.getLogger().level != logging.DEBUG:
        _set_level("debug")
    else:
        _set_level("info" if configured == "debug" else configured)


def _set_level(level: LogLevel) -> None:
    logging.getLogger().setLevel(level.upper())
    # kafka-python logs each failed connection attempt; the daemon logs one line for the whole outage.
    logging.getLogger("kafka").setLevel(level.upper() if level == "debug" else logging.CRITICAL)
    for name in _SECRET_LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO if level == "debug" else logging.CRITICAL)


def _name_library_lines(_logger: Any, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    line.setdefault("event_name", LIBRARY_EVENT)
    return line


def _renderers(style: LogFormat) -> list[structlog.typing.Processor]:
    if style == "console" or (style == "auto" and sys.stderr.isatty()):
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [_as_open_telemetry, structlog.processors.JSONRenderer()]


def _as_open_telemetry(_logger: Any, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The line with fields named as in OpenTelemetry's log data model; attributes are at the top level, for `jq`.

    https://opentelemetry.io/docs/specs/otel/logs/data-model/, and for an exception the semantic conventions.
    """
    severity_text, severity_number = _SEVERITIES.get(line.pop("level"), _FATAL)
    named = {
        "timestamp": line.pop("timestamp"),
        "severity_text": severity_text,
        "severity_number": severity_number,
        "body": line.pop("event"),
        "event": line.pop("event_name"),
        "scope.name": line.pop("logger"),
        **_RESOURCE,
    }
    if "exception" in line:
        named["exception.stacktrace"] = line.pop("exception")
    return {**named, **line}
