"""Logs: lines for people on a terminal, JSON lines for machines elsewhere, always on standard error."""

import logging
import sys
from typing import Literal

import structlog

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]
_TELL_SECRETS = ("kafka.admin.client", "kafka.net.connection", "kafka.protocol.parser")
"""They log options, requests and raw bytes at level debug, passwords among them."""


def configure_logging(level: LogLevel, style: LogFormat) -> None:
    """Send structlog's events, and those of every library that uses `logging`, through one renderer."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
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
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(style)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # The client reports each failed connection attempt; the daemon says the same once, in its own words.
    logging.getLogger("kafka").setLevel(level.upper() if level == "debug" else logging.CRITICAL)
    for name in _TELL_SECRETS:
        logging.getLogger(name).setLevel(logging.INFO if level == "debug" else logging.CRITICAL)


def _renderer(style: LogFormat) -> structlog.typing.Processor:
    if style == "console" or (style == "auto" and sys.stderr.isatty()):
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer()
