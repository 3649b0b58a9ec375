"""What a process did as rows of gold.batch_metrics and gold.job_run. Pure."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse.errors import INTERRUPTED as INTERRUPTED_CODE
from lakehouse.errors import LOCKED as LOCKED_CODE
from lakehouse.errors import REFUSED as REFUSED_CODE
from lakehouse.storage.batch_reports import BatchReport, Memory
from lakehouse.storage.delta_log import Added

OK, FAILED, REFUSED, LOCKED, INTERRUPTED, KILLED = (
    *("ok", "failed", "refused", "locked", "interrupted", "killed"),
)
"""Outcomes."""
BY_THE_CLOCK = frozenset(
    {"run_pipeline", "ingest", "score", "aggregate_kpis", "retrain_and_promote", "notify"}
)
"""Jobs that a schedule runs, often with nothing to do."""
Row = dict[str, Any]
_COUNTED = ("rows_out", "rows_rejected", "rows_duplicate")


@dataclass(frozen=True)
class Process:
    """The process that runs a job.

    Attributes:
        run_id: names it.
        job: name of the job.
        host: the machine.
        release: of the lakehouse's code.
        began_at: when it began.
    """

    run_id: str
    job: str
    host: str
    release: str
    began_at: dt.datetime


@dataclass(frozen=True)
class Ending:
    """How a job or a pass of it ended.

    Attributes:
        error: the error in a sentence, secrets left out.
        exit_code: of the process; None where it goes on.
    """

    outcome: str = OK
    error_class: str | None = None
    error: str | None = None
    exit_code: int | None = None


@dataclass(frozen=True)
class Pass:
    """A pass of a job, in a process that may make several.

    Attributes:
        number: from 1.
        ended_at: None where the process was killed.
        phases: seconds by phase.
        batches: micro-batches and steps that are on record.
    """

    number: int
    began_at: dt.datetime
    ended_at: dt.datetime | None
    phases: Mapping[str, float]
    batches: int


def ending_of(code: int, error: BaseException | None, sentence: str | None) -> Ending:
    """How a job ended, by its exit code; an exit code alone, such as a check's, is a failure.

    Args:
        code: exit code of the process.
        error: that ended it, if one did.
        sentence: the error in words, secrets left out.
    """
    by_code = {
        0: OK,
        REFUSED_CODE: REFUSED,
        LOCKED_CODE: LOCKED,
        INTERRUPTED_CODE: INTERRUPTED,
    }
    name = type(error).__name__ if error else None
    if code and error is None:
        sentence = f"exit code {code}"
    return Ending(by_code.get(code, FAILED), name, sentence, code)


def run_row(process: Process, done: Pass, ending: Ending, at: dt.datetime) -> Row:
    """The row of gold.job_run for a pass."""
    seconds = done.ended_at and (done.ended_at - done.began_at).total_seconds()
    return {
        "run_id": process.run_id,
        "pass": done.number,
        "job": process.job,
        "began_at": done.began_at,
        "ended_at": done.ended_at,
        "outcome": ending.outcome,
        "exit_code": ending.exit_code,
        "error_class": ending.error_class,
        "error": ending.error,
        "seconds": seconds and round(seconds, 3),
        "phase_seconds": {name: round(each, 3) for name, each in done.phases.items()},
        "batches": done.batches,
        "host": process.host,
        "release": process.release,
        "recorded_at": at,
    }


def batch_row(
    report: BatchReport,
    read: Added | None,
    waiting: Added | None,
    process: Process,
    at: dt.datetime,
) -> Row:
    """The row of gold.batch_metrics for a micro-batch or a step, without its application.

    Args:
        report: of the batch.
        read: what it read of its sources, by their logs; None where they do not tell.
        waiting: what they hold besides by now.
        process: that did it.
        at: wall-clock time of the commit.
    """
    attempt = report.attempt
    error = attempt.error
    ended_at = report.began_at + dt.timedelta(seconds=report.seconds)
    return {
        "query": report.query,
        "query_id": report.query_id or process.run_id,
        "batch_id": report.number,
        "run_id": process.run_id,
        "outcome": FAILED if error else OK,
        "error_class": type(error).__name__ if error else None,
        "began_at": report.began_at,
        "seconds": round(report.seconds, 3),
        "phase_seconds": dict(report.phases),
        **_read(attempt.counts, read),
        **{name: attempt.counts.get(name, None if error else 0) for name in _COUNTED},
        "lag_seconds": _seconds(read.since if read else None, ended_at),
        "source_versions": {_name(span.path): span.end for span in report.sources},
        **backlog(waiting, at, "files_in" in attempt.counts),
        **_memory(attempt.memory),
        "host": process.host,
        "release": process.release,
        "recorded_at": at,
    }


def new_reports(
    reports: Sequence[BatchReport], recorded: Mapping[str, int]
) -> tuple[list[BatchReport], dict[str, int]]:
    """The reports that are not on record yet, and the newest finished batch of each stream.

    A batch that was replayed after it was on record is not told again; a failed attempt always is.

    Args:
        reports: of this process.
        recorded: the newest batch on record, by the stream's id.
    """
    new = [
        each
        for each in reports
        if each.query_id is None
        or each.attempt.error
        or each.number > recorded.get(each.query_id, -1)
    ]
    newest: dict[str, int] = {}
    for each in new:
        if each.query_id is not None and each.attempt.error is None:
            newest[each.query_id] = max(each.number, newest.get(each.query_id, -1))
    return new, newest


def total(parts: Iterable[Added | None]) -> Added | None:
    """All parts together; None where there is none, or one is not known."""
    every = list(parts)
    known = [each for each in every if each is not None]
    return sum(known, Added()) if known and len(known) == len(every) else None


def backlog(waiting: Added | None, at: dt.datetime, of_files: bool) -> Row:
    """The columns of what waits; none where it is not known.

    Args:
        waiting: what the sources hold that was not read.
        at: wall-clock time.
        of_files: whether a row of the source is a landed file, as it is of ingest.
    """
    if waiting is None:
        return {}
    unknown = None if waiting.files else 0
    return {
        "backlog_files": waiting.rows if of_files else waiting.files,
        "backlog_bytes": unknown if of_files else waiting.size,
        "backlog_rows": unknown if of_files else waiting.rows,
        "oldest_waiting_seconds": _seconds(waiting.since, at),
    }


def _memory(memory: Memory | None) -> Row:
    if memory is None:
        return {}
    return {
        "heap_used_bytes": memory.heap_used,
        "heap_max_bytes": memory.heap_max,
        "python_peak_bytes": memory.python_peak,
    }


def _read(counts: Mapping[str, int], read: Added | None) -> Row:
    """What was read: as the work counted it, else as the logs of the sources tell."""
    of_log = read and {"rows_in": read.rows, "files_in": read.files, "bytes_in": read.size}
    names = ("rows_in", "files_in", "bytes_in")
    return {name: counts.get(name, (of_log or {}).get(name)) for name in names}


def _seconds(since: dt.datetime | None, until: dt.datetime) -> float | None:
    return None if since is None else round(max((until - since).total_seconds(), 0.0), 3)


def _name(path: str) -> str:
    """`layer.table` of a table's path."""
    return ".".join(path.rsplit("/", 2)[1:])
