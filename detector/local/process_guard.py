"""Runs a command, and stops it when the parent process exits for whatever reason.

A parent that is killed cannot stop its children. The guard reads from a pipe whose other end only the parent has: end
of file means that the parent closed its end or died. The guard is started as `python process_guard.py` and does not
import this package, so that it needs only a few megabytes and milliseconds.
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
    """On Linux, make the kernel kill the command if the guard itself is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _stop_at_end_of_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):  # not sys.stdin: the interpreter cannot exit while a thread reads from it
        pass
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()


def main() -> int:
    """`process_guard.py FOLDER_TO_REMOVE COMMAND…`; an empty folder name removes nothing. Exits as the command does."""
    folder, *command = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # The parent decides when to stop, by closing the pipe. Not SIG_IGN, which the command would inherit.
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
