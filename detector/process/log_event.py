"""What a log line of the service consists of."""

from dataclasses import dataclass
from typing import Any

import structlog

from detector.process.logs import LogLevel


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One kind of log line: its name, level and text, and what the reader should know about it."""

    name: str
    """Stable, in snake_case: the attribute `event` of the line."""
    level: LogLevel
    text: str
    meaning: str
    """When the line is written."""
    action: str
    """What the reader should do."""
    logger: str = "detector"

    def log(self, **fields: Any) -> None:
        """Write the line with these fields."""
        getattr(structlog.get_logger(self.logger), self.level)(self.text, event_name=self.name, **fields)
