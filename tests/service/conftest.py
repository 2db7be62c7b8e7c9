"""Fixtures for the tests of the service."""

import pytest


@pytest.fixture
def clock(monkeypatch):
    """The time that `time.monotonic` returns, in seconds; a test advances it."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now
