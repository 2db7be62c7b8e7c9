"""Runs one child process, and ends it when the process at the other end of standard input is gone, however it went.

A killed parent cannot stop its children. The guard holds the reading end of a pipe whose writing end only the parent
has: end of file means that the parent closed it or died. It is started as `python guard.py`, with nothing of ours
imported, so that it costs a few megabytes and milliseconds.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading

_GRACE_S = 15.0
_PR_SET_PDEATHSIG = 1


def _die_with_guard() -> None:
    """On Linux, have the kernel kill the child should the guard itself be killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _stop_at_end_of_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):  # not sys.stdin: a thread that waits in it cannot be left at the end of the interpreter
        pass
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()


def main() -> int:
    """`guard.py FOLDER_TO_REMOVE COMMAND…`; an empty folder name removes nothing. Exits as the command does."""
    folder, *command = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # The parent decides, by closing the pipe. A handler, for the child would inherit SIG_IGN and never stop.
        signal.signal(number, lambda *_: None)
    # preexec_fn is safe here: this process has no other thread yet.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_guard)  # noqa: PLW1509
    threading.Thread(target=_stop_at_end_of_input, args=[child], daemon=True).start()
    status = child.wait()
    if folder:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
