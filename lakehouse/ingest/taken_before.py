"""Lines that bronze has already: of a batch that is replayed, or of an older checkpoint.

A new checkpoint reads every file on record again. What bronze has of it counts, not what the files
hold by now, and a line that is in its place stays the only one there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.ingest.landing.inspection import Part
from lakehouse.ingest.landing.runs import FileRecord, Run
from lakehouse.ingest.lines import GIVEN, Columns, columns_of
from lakehouse.storage.lakehouse import Source
from lakehouse.storage.partitions import among_keys
from lakehouse.storage.queries import Batch
from lakehouse.storage.store import Store
from lakehouse.tables import Table

LINE = ["landed_file_id", "line"]
"""Columns that name a line among all that have landed."""


@dataclass(frozen=True)
class Origin:
    """The micro-batch that brought lines to bronze.

    Attributes:
        query_id: of its stream's checkpoint; None in rows of an older release.
        number: of the micro-batch.
    """

    query_id: str | None
    number: int


NOWHERE = Origin(None, -1)
"""Of lines that bronze does not have."""


def origins(store: Store, source: Source, run: Run) -> dict[tuple[int, int], Origin]:
    """Which parts of a run bronze has, by file id and first line, and from which micro-batch.

    A commit of bronze holds whole parts, so a part's first line stands for it. Statistics tell at
    once that bronze has nothing of a file that is new.
    """
    bronze, (first, last) = source.bronze, run.ids
    if not store.may_hold(bronze, "landed_file_id", first, last):
        return {}
    starts = pa.chunked_array([sorted({part.first_line for _, part in run.parts})])
    ids = pa.chunked_array([sorted({_id(record) for record, _ in run.parts})])
    those = among_keys("landed_file_id", ids) & among_keys("line", starts)
    found = store.arrow(bronze, those, [*LINE, "ingest_query", "ingest_batch"])
    held = {
        (row["landed_file_id"], row["line"]): Origin(row["ingest_query"], row["ingest_batch"])
        for row in found.to_pylist()
    }
    return {
        place: held[place]
        for record, part in run.parts
        if (place := (_id(record), part.first_line)) in held
    }


def split(
    run: Run, held: dict[tuple[int, int], Origin], own: Origin
) -> tuple[list[tuple[Origin, Run]], Run | None]:
    """The parts that other micro-batches brought, by those, and the rest: new ones, or its own."""
    older: dict[Origin, list[tuple[FileRecord, Part]]] = {}
    rest: list[tuple[FileRecord, Part]] = []
    for record, part in run.parts:
        origin = held.get((_id(record), part.first_line), own)
        (rest if origin == own else older.setdefault(origin, [])).append((record, part))
    runs = [(origin, Run(tuple(parts))) for origin, parts in older.items()]
    return runs, Run(tuple(rest)) if rest else None


def lines_in_bronze(store: Store, source: Source, run: Run, origin: Origin) -> Iterator[Columns]:
    """The lines of the run that the micro-batch brought to bronze, in their order."""
    of_batch = (pc.field("ingest_query") == origin.query_id) & (
        pc.field("ingest_batch") == origin.number
    )
    if origin.query_id is None:
        of_batch = pc.field("ingest_query").is_null() & (pc.field("ingest_batch") == origin.number)
    # Bronze keeps statistics of these columns, so Delta skips the files of other runs.
    first, last = run.ids
    of_run = _between("landed_file_id", first, last)
    if first == last:
        first_line, end_line = run.lines
        of_run &= _between("line", first_line, end_line - 1)
    names = [*GIVEN, "ingested_at"]
    yield from map(columns_of, store.batches(source.bronze, of_batch & of_run, names))


def not_yet_in(store: Store, table: Table, rows: pa.Table) -> pa.Table:
    """The rows whose lines a table does not have; `LINE` is among their columns.

    All lines of the table are looked at: delta-rs passes over files that have no statistics of a
    column in the filter.
    """
    if not len(rows):
        return rows
    numbered = rows.select(LINE).append_column("_place", pa.array(range(len(rows))))
    new = numbered.join(store.arrow(table, columns=LINE), LINE, join_type="left anti")
    return rows.take(new["_place"].combine_chunks().sort())


def origin_of(batch: Batch) -> Origin:
    """The micro-batch as bronze names it."""
    return Origin(batch.query_id, batch.number)


def _between(column: str, least: object, greatest: object) -> pc.Expression:
    return (pc.field(column) >= least) & (pc.field(column) <= greatest)


def _id(record: FileRecord) -> int:
    return record.landed_file_id or 0
