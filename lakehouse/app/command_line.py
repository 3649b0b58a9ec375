"""What every job's command line has in common."""

import argparse
import atexit
import datetime as dt
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import shorten
from typing import NoReturn

from lakehouse.app.opening import open_lakehouse
from lakehouse.app.telling import log_warnings, tell, trace_of
from lakehouse.errors import ConfigurationError, LakehouseError, exit_code, notes_of, words_of
from lakehouse.operations.recorder import begin_recording, end_recording, recorder_of
from lakehouse.prometheus.publish import renew_exposition, serve_exposition
from lakehouse.settings import (
    EnvironmentSettings,
    ModelSettings,
    load_environment_settings,
    load_model_settings,
)
from lakehouse.storage.delta.leases import hold_leases
from lakehouse.storage.delta.locks import hold_work
from lakehouse.storage.faults import as_told
from lakehouse.storage.lakehouse import Lakehouse, absolute
from lakehouse.storage.queries import AVAILABLE_NOW, interval_seconds
from lakehouse.storage.session import open_session

STREAMS = ("aggregate_kpis", "counterfactual", "ingest", "retrain_and_promote", "score")
"""The jobs whose work one process at a time does."""
_OF_ALL_STREAMS = ("demo", "rebuild", "run_pipeline", "verify")
"""Jobs that do the work of all of them, or that need a state in which nobody does."""
_LONGEST = 300
_opened_roots: list[str] = []  # of this process's job, for what is not foreseen
_jobs: list[str] = []  # the one that this process runs, if it is to be on record


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
        parser.add_argument(
            "--metrics-port",
            type=int,
            help="serve /metrics for Prometheus on 127.0.0.1 while the job runs for ever",
        )
    return parser


def opened(options: argparse.Namespace) -> Lakehouse:
    """The lakehouse that the options name; settings are checked before Spark starts."""
    environment = load_environment_settings(options.environment)
    if options.root:
        environment = environment.model_copy(update={"root": options.root})
    announce(environment.root)
    model = load_model_settings(options.model)
    seconds = interval_seconds(getattr(options, "trigger", AVAILABLE_NOW))
    lakehouse = open_recorded(model, environment)
    serve_metrics(lakehouse.store.root, getattr(options, "metrics_port", None), seconds)
    return lakehouse


def open_recorded(model: ModelSettings, environment: EnvironmentSettings) -> Lakehouse:
    """Open a lakehouse; what the job does to it from now on is put on record."""
    root = announce(environment.root)
    recorder = recorder_of(root, "")
    # Before Spark starts, and before anything is made: the second of two processes stops here.
    work = _work_of(_jobs[-1]) if _jobs else ()
    hold_alone(environment, work)
    with recorder.phase("open"):
        spark = open_session()
        lakehouse = open_lakehouse(spark, model, environment)
    recorder.opened(lakehouse.store.reports, spark.sparkContext.applicationId)
    return lakehouse


def hold_alone(environment: EnvironmentSettings, work: Sequence[str]) -> None:
    """Hold the right to do these kinds of work on a lakehouse, until the process ends.

    Args:
        environment: whose root is that of the lakehouse.
        work: kinds of it.

    Raises:
        LockedError: another process does one of them.
    """
    root = absolute(environment.root)
    hold_work(root, work)
    if environment.takes_leases:
        hold_leases(root, work)


def _work_of(job: str) -> tuple[str, ...]:
    """The kinds of work that a job does alone on a lakehouse; none for one that only looks, or
    that writes what a person decides.
    """
    return STREAMS if job in _OF_ALL_STREAMS else (job,) if job in STREAMS else ()


def announce(root: str) -> str:
    """Say which lakehouse the job works on, before it does; return its absolute root."""
    found = absolute(root)
    if found not in _opened_roots:
        _opened_roots.append(found)
        if _jobs:
            begin_recording(found, _jobs[-1])
    return found


def located(options: argparse.Namespace, is_recorded: bool = True) -> tuple[ModelSettings, str]:
    """The model and the absolute root that the options name, for jobs without Spark.

    Args:
        options: of the command line.
        is_recorded: False for a job that looks at a lakehouse and writes nothing.
    """
    root = absolute(options.root or load_environment_settings(options.environment).root)
    if is_recorded:
        announce(root)
    else:
        _opened_roots.append(root)
    return load_model_settings(options.model), root


def serve_metrics(root: str, port: int | None, seconds: float | None) -> None:
    """Serve a job's metrics while it runs for ever, and put its batches on record meanwhile.

    Args:
        root: of the lakehouse.
        port: where on 127.0.0.1; not served where it is None.
        seconds: of the job's interval; None where it ends by itself.

    Raises:
        ConfigurationError: the job ends by itself, or the port is taken.
    """
    if port is not None and seconds is None:
        raise ConfigurationError(
            "--metrics-port: the job ends by itself and leaves a file of its metrics; write a "
            "--trigger such as '10 seconds', or leave the port out"
        )
    if seconds is not None:
        recorder_of(root, "").tick(lambda: renew_exposition(root))
    if port is not None:
        serve_exposition(root, port)


def run_job(main: Callable[[Sequence[str] | None], int | None]) -> NoReturn:
    """Run a job's `main`, and end the process with its exit code.

    The interpreter is not torn down: Arrow's threads may be on their way into it, and before Python
    3.14 they then abort the process (exit code 134) though its work is done. What was registered
    for the end is called. A job that is told to end (SIGTERM) ends as one that is interrupted.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    log_warnings()
    _jobs.append(Path(main.__globals__.get("__file__", main.__module__)).stem)
    code = exit_code_of(main)
    with suppress(BaseException):  # the work is done, and its code is known
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def exit_code_of(main: Callable[[Sequence[str] | None], int | None]) -> int:
    """Run a job's `main`; return its exit code, with one sentence on stderr where it is not 0.

    Exit codes are those of `errors.exit_code`; the trace of what nobody has foreseen is kept in a
    file that the sentence names.
    """
    error: BaseException | None = None
    try:
        code = main(None) or 0
    except BaseException as raised:  # what Rust's libraries raise is no Exception
        error = as_told(raised)
        code = exit_code(error)
        if isinstance(error, LakehouseError):
            tell(f"error: {error}{notes_of(error)}")
        elif not isinstance(error, SystemExit | KeyboardInterrupt):
            tell(f"error: {unforeseen(error, log_folder())}")
    for root in end_recording(code, error):
        renew_exposition(root)
    return code


def unforeseen(error: BaseException, folder: Path) -> str:
    """An unforeseen error in one sentence: class and words, what to do, where its trace lies."""
    path = folder / f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H%M%S}-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(trace_of(error), encoding="utf-8", errors="backslashreplace")
    except OSError as why:
        path = Path(f"nowhere ({path}: {why.strerror})")
    what = f"{type(error).__name__}: {shorten(words_of(error), _LONGEST)}{notes_of(error)}"
    advice = (
        "nothing that was done is lost: run the job again, and if it fails again, report it with "
        "the trace"
    )
    return f"{what}; {advice}, which lies in {path}"


def log_folder() -> Path:
    """Return where traces go: into the opened lakehouse, if that is a folder of this machine."""
    inside = _opened_roots and "://" not in _opened_roots[-1]
    if inside:
        return Path(_opened_roots[-1]) / "_system" / "log"
    return Path(tempfile.gettempdir()) / "lakehouse-log"
