"""Errors that users see: one line of text, and the exit code of the command."""


class DetectorError(Exception):
    """A failure at run time; the text says what failed, where, with which value, and what to do."""

    exit_code = 1


class UsageError(DetectorError):
    """The command line, a setting or an input file is invalid."""

    exit_code = 2


class ModelError(DetectorError):
    """The model is missing or was rejected."""

    exit_code = 3


class DeadLetterLimitError(DetectorError):
    """Too many records are invalid: the events topic is probably the wrong one."""

    exit_code = 4


def missing_extra(extra: str, needed_for: str) -> UsageError:
    """The error for a feature whose optional packages are not installed."""
    return UsageError(f'{needed_for} needs the extra `{extra}`: pip install "detector[{extra}]"')
