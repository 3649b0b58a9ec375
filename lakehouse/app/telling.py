"""What a job tells on standard error and in traces: no secret, and no value of a row."""

import logging
import os
import sys
import traceback
from types import TracebackType

from lakehouse.redaction import trace_without_values, without_secrets

_OWN = ("lakehouse", "jobs", "__main__")


class Formatter(logging.Formatter):
    """A line of a log; what libraries log may quote rows, what we log does not."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the trace under it."""
        return without_secrets(super().format(record), os.environ)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line alone."""
        if record.name.split(".")[0] not in _OWN:
            record.message = trace_without_values(record.message)
        return super().formatMessage(record)

    def formatException(  # noqa: N802
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """The trace alone."""
        return trace_without_values(super().formatException(ei))


def log_warnings() -> None:
    """Warnings of this process go to standard error, those of libraries too."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def tell(sentence: str) -> None:
    """Write a sentence to standard error."""
    print(without_secrets(sentence, os.environ), file=sys.stderr)


def trace_of(error: BaseException) -> str:
    """The stack traces of an error and of what it came from."""
    trace = "".join(traceback.format_exception(error))
    return without_secrets(trace_without_values(trace), os.environ)
