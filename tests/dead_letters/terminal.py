"""Runs a command with a terminal as its standard output."""

import os
import pty
import subprocess
import sys
import threading

_TIMEOUT_S = 60


def run_on_terminal(*arguments: str) -> tuple[int, str]:
    """Run `detector` with these arguments on a terminal; returns its exit code and what it wrote."""
    reading_end, writing_end = pty.openpty()
    try:
        with os.fdopen(writing_end, "wb") as terminal:
            process = subprocess.Popen(
                [sys.executable, "-m", "detector", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=terminal,
                env=os.environ | {"TERM": "dumb", "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"},
            )
        written = bytearray()
        reader = threading.Thread(target=_read_all, args=(reading_end, written))
        reader.start()
        try:
            code = process.wait(_TIMEOUT_S)
        finally:
            process.kill()  # the end of the process ends the reader
            process.wait()
            reader.join()
    finally:
        os.close(reading_end)
    return code, written.decode()


def _read_all(terminal: int, written: bytearray) -> None:
    try:
        while piece := os.read(terminal, 4096):
            written.extend(piece)
    except OSError:  # Linux's end of file of a terminal
        pass
