"""Landed files to bronze, and in the same micro-batch to silver, quarantine and duplicates.

What has landed is put on record first (bronze.landed_file); each commit of that table is a
micro-batch of the stream that reads it. So a file is its row there and not its name, and a replay
reads what was recorded.
"""

import datetime as dt
import time
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.ingest.landing import runs as files
from lakehouse.ingest.landing.landed_files import StockTaker, record_lost, take_stock
from lakehouse.ingest.landing.landed_lines import Task, Written
from lakehouse.ingest.landing.runs import FileRecord, Run
from lakehouse.ingest.lines import keys_together
from lakehouse.ingest.parsing import BlockParser
from lakehouse.ingest.placement import Valid, place
from lakehouse.ingest.taken_before import (
    NOWHERE,
    Origin,
    lines_in_bronze,
    not_yet_in,
    origin_of,
    origins,
    split,
)
from lakehouse.ingest.validation import LineRules
from lakehouse.instants import ARROW_MOMENT
from lakehouse.storage import queries
from lakehouse.storage.commits import followed, record_commits
from lakehouse.storage.folders import Folder
from lakehouse.storage.lakehouse import Lakehouse, Source
from lakehouse.storage.log_check import check_newest
from lakehouse.storage.queries import Batch
from lakehouse.tables import Table

QUERY = "ingest"
_TASK_BYTES = 4 * 2**20
_TASKS_A_CORE = 4


def ingest(lakehouse: Lakehouse, trigger: str) -> None:
    """Take in what has landed under `<landing>/<source table>/`: once, or for ever at an interval.

    Raises:
        LandingError: a landing folder cannot be looked at.
        StoreError: a table has lost its newest commits.
    """
    seconds, catalog = queries.interval_seconds(trigger), lakehouse.catalog
    tables = written_by_ingest(lakehouse)
    with lakehouse.store.writing(*tables):
        check_newest(lakehouse)
        while True:
            # First on record, then read: what a crash cuts off is found there again.
            take_stock(lakehouse)
            _read(lakehouse)
            known = followed(catalog, lakehouse.model)
            record_commits(lakehouse, *(each for each in tables if each in known))
            if seconds is None:
                return
            time.sleep(seconds)


def written_by_ingest(lakehouse: Lakehouse) -> tuple[Table, ...]:
    """The tables that ingest writes."""
    catalog = lakehouse.catalog
    sources = [table for source in lakehouse.sources for table in (source.bronze, source.silver)]
    return catalog.landed_file, catalog.quarantine, catalog.duplicate, *sources


class Intake:
    """Ingest that goes on: a stream that is started once, and looks at the landing folders.

    The caller holds the right to write its tables.

    Attributes:
        query: the stream.
    """

    def __init__(self, lakehouse: Lakehouse, trigger: str | float) -> None:
        """Start the stream; it reads what is on record and has not been read."""
        self._lakehouse, self._stock = lakehouse, StockTaker(lakehouse)
        self._on_record = self._taken_in = 0
        self.query = _reading(lakehouse, self._handle, trigger)

    def look(self) -> None:
        """Put on record what has landed, unless files of the last look are still being read.

        Each look is a micro-batch, so what lands while one lasts is taken in together.

        Raises:
            LandingError: a landing folder cannot be looked at.
        """
        if self._taken_in >= self._on_record:
            self._on_record = max(self._on_record, self._stock.take())

    def _handle(self, looks: DataFrame, batch: Batch) -> None:
        taken_in = _handle(self._lakehouse, looks, batch)
        self._taken_in = max(self._taken_in, taken_in)


def _read(lakehouse: Lakehouse) -> None:
    """Read the files that are on record and have not been read."""
    # Each round of `ingest` takes stock first, so the stream itself runs once a round.
    handle, trigger = partial(_handle, lakehouse), queries.AVAILABLE_NOW
    queries.run_all([_reading(lakehouse, handle, trigger)], trigger)


def _reading(lakehouse: Lakehouse, handle: queries.Handler, trigger: str | float) -> queries.Query:
    """Start the stream of what is on record of landed files."""
    # A commit of the table is one file of it: one at a time is one batch as it was recorded.
    looks = lakehouse.store.read_stream(lakehouse.catalog.landed_file, {"maxFilesPerTrigger": "1"})
    # The first run of each source is number 0.
    sinks = [queries.Sink(source.bronze, (source.name, "0")) for source in lakehouse.sources]
    return queries.run(lakehouse.store, QUERY, looks, handle, trigger, sinks)


def _handle(lakehouse: Lakehouse, looks: DataFrame, batch: Batch) -> int:
    """Take in the files of one batch, source by source; return the greatest of their ids."""
    to_read = looks.where((F.col("status") == files.LANDED) & F.col("landed_file_id").isNotNull())
    # By Arrow: a collected row would have times of this machine's zone, without saying so.
    rows = to_read.orderBy("landed_file_id").toArrow().to_pylist()
    take_in(lakehouse, [FileRecord.from_row(row) for row in rows], batch)
    return max((row["landed_file_id"] for row in rows), default=0)


def take_in(
    lakehouse: Lakehouse, records: list[FileRecord], batch: Batch, from_bronze: bool = False
) -> None:
    """Take in the files of a batch, source by source, run by run.

    Args:
        lakehouse: whose files they are.
        records: of the files to read, by their ids.
        batch: that they are read in.
        from_bronze: whether only runs are taken that bronze has: landed files are not asked.
    """
    _count_in(records, batch)
    for source in lakehouse.sources:
        own = [record for record in records if record.source == source.name]
        for number, run in enumerate(files.in_runs(own)):
            step = batch.step(source.name, str(number))
            if not from_bronze:
                _take_in(lakehouse, source, run, step)
            elif lakehouse.store.has(step.transaction(source.bronze), source.bronze):
                left = _without_lost(lakehouse, run)
                if left:
                    _take_in_whole(lakehouse, source, left, step)


def _count_in(records: list[FileRecord], batch: Batch) -> None:
    """Count the files that a batch reads: its source is the table that names them."""
    batch.count(
        files_in=len(records),
        bytes_in=sum(record.size or 0 for record in records),
        rows_in=sum(record.lines or 0 for record in records),
    )


def _take_in(lakehouse: Lakehouse, source: Source, run: Run, batch: Batch) -> None:
    """Take in a run; files that are gone or have changed go on record and are left out."""
    left, counts = _without_lost(lakehouse, run), batch.attempt.counts.copy()
    while left:
        try:
            return _take_in_whole(lakehouse, source, left, batch)
        except Exception as error:
            batch.attempt.counts = counts.copy()
            # Any error may come of a file that changed; only another look at the files tells. What
            # bronze has is read from there.
            _, unread = split(left, origins(lakehouse.store, source, left), NOWHERE)
            if unread is None or not record_lost(lakehouse, unread):
                error.add_note(f"while reading {left}")
                raise
            left = _without_lost(lakehouse, left)
    return None


def _take_in_whole(lakehouse: Lakehouse, source: Source, run: Run, batch: Batch) -> None:
    """Bring lines to bronze, bad ones to quarantine, the others to where they belong."""
    store, own = lakehouse.store, origin_of(batch)
    held = origins(store, source, run)
    older, rest = split(run, held, own)
    for number, (origin, before) in enumerate(older):
        _take_up(lakehouse, source, before, origin, batch.step("again", str(number)))
    if rest is None:
        return
    task = _task(lakehouse, source, own)
    # In a replay, what bronze holds counts, whatever the files hold by now.
    if own in held.values():
        written = [task.take_up(lines_in_bronze(store, source, rest, own))]
    else:
        written = _written(lakehouse, task, rest)
        to_bronze = batch.transaction(source.bronze)
        store.commit([output.bronze for output in written], source.bronze, to_bronze)
    quarantine = lakehouse.catalog.quarantine
    rejected = [output.quarantine for output in written]
    store.commit(rejected, quarantine, batch.transaction(quarantine))
    batch.count(rows_rejected=sum(file.rows for file in rejected if file))
    keys = keys_together(output.keys for output in written)
    place(lakehouse, source, rest, batch, Valid([each.silver for each in written], keys))


def _take_up(lakehouse: Lakehouse, source: Source, run: Run, origin: Origin, batch: Batch) -> None:
    """Bring lines that an older checkpoint brought to bronze to where they are missing."""
    store, quarantine = lakehouse.store, lakehouse.catalog.quarantine
    task = _task(lakehouse, source, origin)
    written = task.take_up(lines_in_bronze(store, source, run, origin))
    for number, rows in enumerate(store.contents([written.quarantine], quarantine)):
        new = not_yet_in(store, quarantine, pa.Table.from_batches([rows]))
        store.append_arrow(
            new, quarantine, batch.step("rejected", str(number)).transaction(quarantine)
        )
        batch.count(rows_rejected=len(new))
    store.discard([written.quarantine], quarantine)
    place(lakehouse, source, run, batch, Valid([written.silver], written.keys, again=True))


def _task(lakehouse: Lakehouse, source: Source, origin: Origin) -> Task:
    model, store = lakehouse.model, lakehouse.store
    bronze, silver, quarantine = map(
        store.target, (source.bronze, source.silver, lakehouse.catalog.quarantine)
    )
    in_common = {
        "ingest_batch": pa.scalar(origin.number, pa.int64()),
        "ingest_query": pa.scalar(origin.query_id, pa.string()),
        "ingested_at": pa.scalar(dt.datetime.now(dt.UTC), ARROW_MOMENT),
        "source": pa.scalar(source.name),
    }
    parser = BlockParser(LineRules(source.settings, model.stream, model.modelled))
    return Task(
        Folder(lakehouse.landing), parser, bronze, silver, quarantine, source.key, in_common
    )


def _written(lakehouse: Lakehouse, task: Task, run: Run) -> list[Written]:
    """What the tasks wrote, in line order: on the driver if little, else on the workers."""
    context = lakehouse.spark.sparkContext
    most_tasks = _TASKS_A_CORE * context.defaultParallelism
    parts = files.in_tasks(run, min(most_tasks, 1 + run.size // _TASK_BYTES))
    # A Spark job would take longer to start than so little takes to read.
    if run.size < _TASK_BYTES:
        return [task.take_in(part) for part in parts]
    written: list[Written] = context.parallelize(parts, len(parts)).map(task.take_in).collect()
    return written


def _without_lost(lakehouse: Lakehouse, run: Run) -> Run | None:
    """The run without the files that were lost before they were read; None if none is left."""
    store, table = lakehouse.store, lakehouse.catalog.landed_file
    # Statistics tell at once where nothing was ever lost.
    if not store.may_hold(table, "status", files.UNREADABLE, files.UNREADABLE):
        return run
    rows = store.rows(table, pc.field("status") == files.UNREADABLE, ["landed_file_id"])
    lost = {row["landed_file_id"] for row in rows}
    parts = tuple((record, part) for record, part in run.parts if record.landed_file_id not in lost)
    return Run(parts) if parts else None
