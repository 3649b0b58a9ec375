"""Records what the process's job does: one row a pass, and one for each micro-batch of it.

A record is no part of the work: one that cannot be written is a warning.
"""

import datetime as dt
import logging
import os
import platform
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import shorten

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from lakehouse.errors import exit_code, notes_of, words_of
from lakehouse.operations.marks import Mark, taken_marks
from lakehouse.operations.rows import (
    BY_THE_CLOCK,
    KILLED,
    Ending,
    Pass,
    Process,
    Row,
    batch_row,
    ending_of,
    new_reports,
    run_row,
    total,
)
from lakehouse.redaction import without_secrets
from lakehouse.storage.batch_reports import BatchReport
from lakehouse.storage.delta.checksums import write_checksum
from lakehouse.storage.delta.declared_tables import create
from lakehouse.storage.delta.locks import exclusive_soon, machine_folder
from lakehouse.storage.delta.small_files import gather
from lakehouse.storage.delta_log import added_between
from lakehouse.tables import BATCH_METRICS, JOB_RUN, Table

IDLE_FOR = dt.timedelta(hours=1)
"""A pass that did nothing is on record as often as this; so is a run of a job by the clock."""
TICK = 60.0
"""Seconds after which a stream that runs for ever has its micro-batches put on record."""
_PATIENCE = 5.0  # seconds; another job writes its rows in a few hundredths of one
_LONGEST = 500
_MOST_SMALL = 16  # files: all rows are read for the totals
_logger = logging.getLogger(__name__)


class Recorder:
    """What a process does to one lakehouse.

    Attributes:
        root: of the lakehouse, absolute.
        process: the process.
        reports: micro-batches that ended and are not on record yet; those of a store.
    """

    def __init__(self, root: str, job: str) -> None:
        """Write nothing yet."""
        self.root, self.reports = root, deque[BatchReport]()
        began_at = dt.datetime.now(dt.UTC)
        self.process = Process(uuid.uuid4().hex, job, platform.node(), _release(), began_at)
        self._application: str | None = None
        self._began_at = self._recorded_at = began_at
        self._passes = 0
        self._phases: dict[str, float] = defaultdict(float)
        self._told: BaseException | None = None
        self._in_passes = False
        self._tables: dict[str, DeltaTable] = {}
        self._mark: Mark | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def begin(self) -> None:
        """Mark that the job runs, and put on record which ones were killed before."""
        if self._is_there:
            with _warned():
                self._record_killed()
            with _warned():
                self._mark = Mark(self.root, self.process)

    def opened(self, reports: deque[BatchReport], application: str | None) -> None:
        """Take the reports of the store that the job has opened."""
        self.reports, self._application = reports, application
        if self._mark is None:  # there was no lakehouse before
            self.begin()

    def begin_pass(self, reports: deque[BatchReport]) -> None:
        """Begin a pass of a job that tells where they end; the first began with the process."""
        self.reports, self._in_passes = reports, True
        if self._passes:
            self._began_at = dt.datetime.now(dt.UTC)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the seconds of the block to a phase of the pass."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._phases[name] += time.monotonic() - began

    def end_pass(self) -> None:
        """Record a pass after which the process goes on, if it did something or an hour is over."""
        idle_for = dt.datetime.now(dt.UTC) - self._recorded_at
        if self.reports or idle_for >= IDLE_FOR:
            self._record(Ending())

    def fail_pass(self, error: BaseException) -> None:
        """Record a pass that an error ended; the process ends by it, too."""
        self._told = error
        self._record(ending_of(exit_code(error), error, _sentence(error)))

    def end(self, code: int, error: BaseException | None = None) -> None:
        """Record how the process ended, unless its passes tell, or it was idle within the hour."""
        self._ended.set()
        told = error is not None and error is self._told
        is_news = code or self.reports or not (self._passes or self._was_idle)
        if is_news and not told:
            self._record(ending_of(code, error, _sentence(error) if error else None))
        if self._mark is not None:
            with _warned():
                self._mark.remove()

    def tick(self, then: Callable[[], None], seconds: float = TICK) -> None:
        """Each so many seconds until the end, beside the work: end a pass, and call `then`."""

        def run() -> None:
            while not self._ended.wait(seconds):
                if not self._in_passes:
                    self.end_pass()
                then()

        threading.Thread(target=run, daemon=True).start()

    @property
    def _is_there(self) -> bool:
        """Whether there is a lakehouse yet: a job that fails before makes none."""
        if "://" in self.root:
            return self._application is not None
        return (Path(self.root) / "_system").is_dir()

    @property
    def _was_idle(self) -> bool:
        """Whether a job that runs by the clock had nothing to do, and was on record just now."""
        last = self._last_recorded
        if self.process.job not in BY_THE_CLOCK or not last.exists():
            return False
        # A clock that was set back makes it a time that is still to come.
        return 0 <= time.time() - last.stat().st_mtime < IDLE_FOR.total_seconds()

    @property
    def _last_recorded(self) -> Path:
        """A file of this time: when the job was on record last."""
        return machine_folder(self.root, "runs") / f"{self.process.job}.last"

    def _record(self, ending: Ending) -> None:
        with self._lock:
            at, phases = dt.datetime.now(dt.UTC), dict(self._phases)
            reports = [self.reports.popleft() for _ in range(len(self.reports))]
            done = Pass(self._passes + 1, self._began_at, at, phases, len(reports))
            self._began_at = self._recorded_at = at
            self._passes = done.number
            self._phases.clear()
            if not self._is_there:
                return
            with _warned():
                self._write_batches(reports, at)
            with _warned():
                self._append(JOB_RUN, [run_row(self.process, done, ending, at)])
                self._last_recorded.parent.mkdir(parents=True, exist_ok=True)
                self._last_recorded.touch()
            if self._mark is not None:
                with _warned():
                    self._mark.goes_on(done.number + 1, at)

    def _record_killed(self) -> None:
        with taken_marks(self.root) as killed:
            at = dt.datetime.now(dt.UTC)
            ending = Ending(KILLED)
            self._append(JOB_RUN, [run_row(process, done, ending, at) for process, done in killed])

    def _write_batches(self, reports: Sequence[BatchReport], at: dt.datetime) -> None:
        if not reports:
            return
        delta = self._table(BATCH_METRICS)
        ids = {
            report.query_id: _transaction(report.query_id) for report in reports if report.query_id
        }
        recorded = {
            query_id: newest
            for query_id, name in ids.items()
            if (newest := delta.transaction_version(name)) is not None
        }
        new, newest = new_reports(reports, recorded)
        last = {report.query: report for report in new}
        rows = [self._batch_row(report, report is last[report.query], at) for report in new]
        once = [Transaction(ids[query_id], number) for query_id, number in newest.items()]
        self._append(BATCH_METRICS, rows, once)

    def _batch_row(self, report: BatchReport, is_last: bool, at: dt.datetime) -> Row:
        """A row, with what waits behind it where no other batch of its query follows."""
        spans = report.sources
        read = total(added_between(span.path, span.first or 0, span.end) for span in spans)
        waiting = total(added_between(span.path, span.end) for span in spans) if is_last else None
        row = batch_row(report, read, waiting, self.process, at)
        return row | {"application": self._application}

    def _append(self, table: Table, rows: Sequence[Row], once: Sequence[Transaction] = ()) -> None:
        if not rows:
            return
        with exclusive_soon(self.root, table.full_name, _PATIENCE):
            delta = self._table(table)
            schema = pa.schema(delta.schema().to_arrow())
            found = pa.Table.from_pylist(list(rows), schema)
            properties = CommitProperties(app_transactions=list(once))
            write_deltalake(delta, found, mode="append", commit_properties=properties)
            gather(delta, _MOST_SMALL)
            write_checksum(table.path_in(self.root), delta.version())

    def _table(self, table: Table) -> DeltaTable:
        """The table as it is now; made where a job failed before it could be."""
        if table.name in self._tables:
            self._tables[table.name].update_incremental()
            return self._tables[table.name]
        path = table.path_in(self.root)
        if not DeltaTable.is_deltatable(path):
            create(table, path)
        self._tables[table.name] = DeltaTable(path)
        return self._tables[table.name]


_recorders: list[Recorder] = []  # of this process's job


def begin_recording(root: str, job: str) -> Recorder:
    """Record what this process does to a lakehouse from now on."""
    recorder = Recorder(root, job)
    _recorders.append(recorder)
    recorder.begin()
    return recorder


def recorder_of(root: str, otherwise: str) -> Recorder:
    """The recorder of this process's job; one of its own for what is called by no job."""
    own = [recorder for recorder in _recorders if recorder.root == root]
    return own[-1] if own else Recorder(root, otherwise)


def end_recording(code: int, error: BaseException | None) -> list[str]:
    """Record how this process's job ended; return the roots of its lakehouses."""
    for recorder in _recorders:
        recorder.end(code, error)
    return [recorder.root for recorder in _recorders]


def _sentence(error: BaseException) -> str:
    words = f"{words_of(error)}{notes_of(error)}"
    return shorten(without_secrets(words, os.environ), _LONGEST)


def _transaction(query_id: str) -> str:
    return f"{query_id}:{BATCH_METRICS.full_name}"


@cache
def _release() -> str:
    with suppress(PackageNotFoundError):
        return version("glassware-lakehouse")
    return "unknown"


@contextmanager
def _warned() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException:  # what Rust's libraries raise is no Exception
        _logger.warning("what the job did could not be put on record", exc_info=True)
