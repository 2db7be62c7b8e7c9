"""Output files: never one of the inputs, and complete or not there at all."""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import TextIO

from detector.errors import UsageError

STANDARD_INPUT = Path("-")
"""The name of standard input on the command line."""
STANDARD_INPUT_NUMBER = 0


def refuse_inputs(output: Path, inputs: Iterable[Path]) -> None:
    """Check that an output is none of the inputs, whatever links lead to it.

    Raises:
        UsageError: it is the same file or folder as an input.
    """
    written = _status(output)
    if written is None or stat.S_ISCHR(written.st_mode):  # a terminal or /dev/null may be both
        return
    for path in inputs:
        read = _status(path)
        if read is not None and os.path.samestat(written, read):
            name = "standard input" if path == STANDARD_INPUT else str(path)
            raise UsageError(f"{output}: is also an input ({name}), which would be lost; choose another --output")


@contextmanager
def replaced_file(output: Path, inputs: Iterable[Path]) -> Iterator[TextIO]:
    """A text file to write to, which takes its place when the block ends without an error.

    It is written beside its place; until the block ends, an older file of that name stays as it is. Pipes and devices
    are written to directly. The path may be a link: then the file that it leads to is replaced.

    Raises:
        UsageError: the output is one of the inputs, or cannot be written.
    """
    refuse_inputs(output, inputs)
    try:
        status = _status(output)
        if status is not None and not stat.S_ISREG(status.st_mode):
            with output.open("w", encoding="utf-8", newline="") as stream:
                yield stream
        else:
            with _replacing(Path(os.path.realpath(output)), status) as stream:
                yield stream
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror}; choose another --output") from error


@contextmanager
def _replacing(target: Path, replaced: os.stat_result | None) -> Iterator[TextIO]:
    number, name = mkstemp(prefix=f".{target.name}-", dir=target.parent)
    draft = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as stream:
            os.fchmod(number, _new_file_mode() if replaced is None else stat.S_IMODE(replaced.st_mode))
            yield stream
            stream.flush()
            os.fsync(number)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _new_file_mode() -> int:
    mask = os.umask(0)  # there is no other way to read it
    os.umask(mask)
    return 0o666 & ~mask


def _status(path: Path) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return os.fstat(STANDARD_INPUT_NUMBER) if path == STANDARD_INPUT else path.stat()
    return None
