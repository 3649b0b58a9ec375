"""What every job's command line has in common."""

import argparse
import atexit
import datetime as dt
import logging
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import shorten
from typing import NoReturn

from lakehouse.app.opening import open_lakehouse
from lakehouse.errors import LakehouseError
from lakehouse.settings import ModelSettings, load_environment_settings, load_model_settings
from lakehouse.storage.lakehouse import Lakehouse, absolute
from lakehouse.storage.queries import AVAILABLE_NOW, interval_seconds
from lakehouse.storage.session import open_session

REFUSED, UNFORESEEN, INTERRUPTED = 2, 3, 130
"""Exit codes of a job that could not do its work."""
_LONGEST = 300
_RAISED = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Warning|Interrupt): ")
_opened_roots: list[str] = []  # of this process's job, for what is not foreseen


def job_parser(description: str, triggered: bool = True) -> argparse.ArgumentParser:
    """A parser with the options that all jobs take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--model",
        default="conf/glassware.yaml",
        help="the model's YAML file (default: %(default)s)",
    )
    parser.add_argument(
        "--environment",
        default="conf/local.yaml",
        help="where the lakehouse lives (default: %(default)s)",
    )
    parser.add_argument("--root", help="root of the lakehouse, in place of the environment's")
    if triggered:
        parser.add_argument(
            "--trigger",
            default=AVAILABLE_NOW,
            help="`available-now`, or an interval such as `10 seconds` to run for ever",
        )
    return parser


def opened(options: argparse.Namespace) -> Lakehouse:
    """The lakehouse that the options name; settings are checked before Spark starts."""
    model = load_model_settings(options.model)
    environment = load_environment_settings(options.environment)
    if options.root:
        environment = environment.model_copy(update={"root": options.root})
    interval_seconds(getattr(options, "trigger", AVAILABLE_NOW))
    _opened_roots.append(absolute(environment.root))
    return open_lakehouse(open_session(), model, environment)


def located(options: argparse.Namespace) -> tuple[ModelSettings, str]:
    """The model and the absolute root that the options name, for jobs without Spark."""
    model = load_model_settings(options.model)
    root = absolute(options.root or load_environment_settings(options.environment).root)
    _opened_roots.append(root)
    return model, root


def run_job(main: Callable[[Sequence[str] | None], int | None]) -> NoReturn:
    """Run a job's `main`, and end the process with its exit code.

    The interpreter is not torn down: Arrow's threads may be on their way into it, and before Python
    3.14 they then abort the process (exit code 134) though its work is done. What was registered
    for the end is called.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    code = exit_code_of(main)
    with suppress(BaseException):  # the work is done, and its code is known
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def exit_code_of(main: Callable[[Sequence[str] | None], int | None]) -> int:
    """Run a job's `main`; return its exit code, with one sentence on stderr where it is not 0.

    Exit codes are those of the README: 2 for what a person can act on, 3 for what nobody has
    foreseen, whose trace is kept in a file that the sentence names.
    """
    try:
        return main(None) or 0
    except SystemExit as end:  # of argparse
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except LakehouseError as error:
        print(f"error: {error}{_notes(error)}", file=sys.stderr)
        return REFUSED
    except BaseException as error:  # what Rust's libraries raise is no Exception
        print(f"error: {unforeseen(error, log_folder())}", file=sys.stderr)
        return UNFORESEEN


def unforeseen(error: BaseException, folder: Path) -> str:
    """An unforeseen error in one sentence: class and words, what to do, where its trace lies."""
    path = folder / f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H%M%S}-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace"
        )
    except OSError as why:
        path = Path(f"nowhere ({path}: {why.strerror})")
    what = f"{type(error).__name__}: {shorten(_words(error), _LONGEST)}{_notes(error)}"
    advice = (
        "nothing that was done is lost: run the job again, and if it fails again, report it with "
        "the trace"
    )
    return f"{what}; {advice}, which lies in {path}"


def _words(error: BaseException) -> str:
    """The line of an error that tells most: a worker's error, else the error's first line."""
    text = str(getattr(error, "java_exception", None) or error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "Traceback (most recent call last)" in text:
        lines = [*[line for line in lines if _RAISED.match(line)][-1:], *lines]
    return next(iter(lines), "no words")


def log_folder() -> Path:
    """Return where traces go: into the opened lakehouse, if that is a folder of this machine."""
    inside = _opened_roots and "://" not in _opened_roots[-1]
    if inside:
        return Path(_opened_roots[-1]) / "_system" / "log"
    return Path(tempfile.gettempdir()) / "lakehouse-log"


def _notes(error: BaseException) -> str:
    notes = getattr(error, "__notes__", [])
    return f" ({'; '.join(notes)})" if notes else ""
