"""Fixtures for tests of logging."""

import json
import logging

import pytest
import structlog

from detector.process.logs import _SECRET_LOGGERS


@pytest.fixture
def restored_logging():
    """Restores the configuration of logging after the test."""
    structlog.reset_defaults()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    for name in ("kafka", *_SECRET_LOGGERS):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.fixture
def logged(restored_logging, capsys):
    """A function that returns the JSON lines that were logged since its last call."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
