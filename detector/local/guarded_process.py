"""Child processes that end with this process."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from detector.local import process_guard

_LOG_LINES_SHOWN = 15
_ERROR_WORDS = ("ERROR", "FATAL", "Exception:", "Error:")


class GuardedProcess:
    """A command that runs under `detector.local.process_guard` and writes its output to a file.

    Args:
        command: what to run.
        log_file: gets its standard output and error.
        remove_at_end: a folder that the guard removes after the command has exited.
        keep_open: files that the command inherits, so that their locks last as long as the command runs.
        environment: the command's environment; None is this process's.
        folder: the command's working folder; None is this process's.
    """

    def __init__(
        self,
        command: Sequence[str],
        log_file: Path,
        remove_at_end: Path | None = None,
        keep_open: Sequence[IO[str]] = (),
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        with log_file.open("wb") as log:
            self._log = log_file.open("rb")  # still readable once the guard has removed the folder
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-E", process_guard.__file__, str(remove_at_end or ""), *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
                pass_fds=[file.fileno() for file in keep_open],
                start_new_session=True,  # Ctrl-C on the terminal is for this process, which then stops the command
            )

    def is_running(self) -> bool:
        """Whether the command is still running."""
        return self._process.poll() is None

    def stop(self, timeout_s: float) -> int:
        """Ask the command to stop, and kill it after the timeout; returns its exit code."""
        if self._process.stdin is not None:
            self._process.stdin.close()  # the guard's signal to stop
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._log.close()

    def log(self) -> str:
        """The output so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def log_tail(self) -> str:
        """The last lines of the output; only those about errors when there are any."""
        lines = self.log().splitlines()
        important = [line for line in lines if any(word in line for word in _ERROR_WORDS)]
        return "\n".join((important or lines)[-_LOG_LINES_SHOWN:])
