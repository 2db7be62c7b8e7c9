"""Every error that a person is meant to see: one line of text and the exit code that goes with it."""


class DetectorError(Exception):
    """Something failed at run time; the text says what, where, with which value, and what to do."""

    exit_code = 1


class UsageError(DetectorError):
    """The command line, the settings or an input file are wrong."""

    exit_code = 2


class ModelError(DetectorError):
    """The model is missing, or was refused."""

    exit_code = 3


class DeadLetterLimitError(DetectorError):
    """Too many records could not be read: more likely a wrong topic than bad records."""

    exit_code = 4


def missing_extra(extra: str, needed_for: str) -> UsageError:
    """The error for a feature whose optional packages are not installed."""
    return UsageError(f'{needed_for} needs the extra `{extra}`: pip install "detector[{extra}]"')
