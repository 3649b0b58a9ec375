"""The errors that a user of the lakehouse can meet; each message says what to do about it."""

import re

from lakehouse.redaction import without_values

_RAISED = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Warning|Interrupt): ")


class LakehouseError(Exception):
    """An error that a person can act on: shown as one sentence, without a stack trace."""


class ConfigurationError(LakehouseError):
    """A setting is missing, unknown or impossible; the message names its key and the remedy."""


class LockedError(LakehouseError):
    """Another process does the work, or writes the table, that this one was about to."""


class RegistryError(LakehouseError):
    """The model registry does not hold what is asked of it, or what it holds may not be trusted."""


class RegistryUnreachableError(LakehouseError):
    """MLflow does not answer: what it holds is not gone, so this is no RegistryError."""


class TrainingError(LakehouseError):
    """No trial of a training could be fitted; the message says why."""


class StoreError(LakehouseError):
    """A table is not what its declaration says, or a write did not take place."""


class DiskFullError(StoreError):
    """There is no space for what is to be written."""


class LandingError(LakehouseError):
    """A landing folder cannot be looked at."""


class RecoveryError(LakehouseError):
    """A lakehouse cannot be copied, or made again from what is left of it."""


REFUSED, UNFORESEEN, LOCKED, INTERRUPTED = 2, 3, 4, 130
"""Exit codes of a job that could not do its work."""


def exit_code(error: BaseException) -> int:
    """The exit code of a job that ends with an error, as the README tells.

    2 for what a person can act on, 3 for what nobody has foreseen, 4 where another process is at
    work.
    """
    if isinstance(error, SystemExit):  # of argparse
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, LockedError):
        return LOCKED
    return REFUSED if isinstance(error, LakehouseError) else UNFORESEEN


def words_of(error: BaseException) -> str:
    """The line of an error that tells most: a worker's error, else the error's first line.

    What a library says of rows is told without their values; an OSError's words are of files.
    """
    try:
        text = str(getattr(error, "java_exception", None) or error)
    except Exception:  # Spark's JVM, which has the words, is gone
        return "no words: the process that they stood in has ended"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "Traceback (most recent call last)" in text:
        lines = [*[line for line in lines if _RAISED.match(line)][-1:], *lines]
    line = next(iter(lines), "no words")
    return line if isinstance(error, LakehouseError | OSError) else without_values(line)


def notes_of(error: BaseException) -> str:
    """What was noted on an error on its way, in brackets."""
    notes = getattr(error, "__notes__", [])
    return f" ({'; '.join(notes)})" if notes else ""
