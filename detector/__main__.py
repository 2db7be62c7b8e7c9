"""The entry point: runs a command, and reports an error as one line and an exit code."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from detector.errors import DetectorError, missing_extra

if TYPE_CHECKING:
    from typer import Typer

# Before numpy is first imported: on matrices of 2000 x 10 a pool of threads costs more than it computes.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# Before prometheus_client is first imported: with these, of another program, it would keep metrics in that one's files.
for _variable in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
    os.environ.pop(_variable, None)


def main() -> None:
    """The `detector` command."""

    def load() -> "Typer":
        from detector.cli import app  # noqa: PLC0415 - after the variables above

        return app

    run_command(load)


def run_command(load: "Callable[[], Typer]", extra: str | None = None) -> None:
    """Run a typer application and exit; an error is one line on standard error.

    Args:
        load: imports the application.
        extra: the optional packages that it needs.
    """
    try:
        load()()  # typer itself reports wrong arguments, and exits
    except ModuleNotFoundError as error:
        if extra is None or (error.name or "").startswith("detector"):
            raise
        _fail(missing_extra(extra, f"this command (no module {error.name})"))
    except DetectorError as error:
        _fail(error)
    except Exception as error:  # noqa: BLE001 - a bug; it is logged with its traceback
        _log_unexpected()
        _fail(DetectorError(f"unexpected error, please report it: {type(error).__name__}: {error}"))


def _log_unexpected() -> None:
    # Imported here, because most runs of a command log nothing.
    from detector.process import log_events  # noqa: PLC0415
    from detector.process.logs import configure_default_logging  # noqa: PLC0415

    configure_default_logging()
    log_events.UNEXPECTED_ERROR.log(exc_info=True)


def _fail(error: DetectorError) -> None:
    sys.stderr.write(f"detector: {error}\n")
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
