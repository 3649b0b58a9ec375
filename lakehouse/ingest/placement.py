"""Where valid rows belong: silver if their keys are new, else duplicates or quarantine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.ingest.dispositions import (
    ACCEPTED,
    CONFLICT,
    CORRECTION,
    DUPLICATE,
    dispositions,
    with_corrections,
)
from lakehouse.ingest.history import with_history
from lakehouse.ingest.landing.runs import Run
from lakehouse.ingest.lines import Keys, in_chunks
from lakehouse.ingest.taken_before import not_yet_in
from lakehouse.ingest.validation import CONFLICT as REASON
from lakehouse.storage.delta.data_files import DataFile
from lakehouse.storage.lakehouse import Lakehouse, Source
from lakehouse.storage.partitions import among_keys
from lakehouse.storage.queries import Batch
from lakehouse.storage.store import Store
from lakehouse.tables import IS_CORRECTION, Table

_CHUNK_LINES = 250_000
_IN_ORDER = [("landed_file_id", "ascending"), ("line", "ascending")]


@dataclass(frozen=True)
class Valid:
    """Rows that break no rule.

    Attributes:
        files: that hold them, in the order of the lines; not a part of silver yet.
        keys: theirs.
        again: whether an older checkpoint may have brought them to their places.
    """

    files: Sequence[DataFile | None]
    keys: Keys
    again: bool = False


def place(
    lakehouse: Lakehouse,
    source: Source,
    run: Run,
    batch: Batch,
    valid: Valid,
) -> None:
    """Add a run's valid rows to silver; chunk by chunk where a key may have come before.

    Args:
        lakehouse: whose rows they are.
        source: whose they are.
        run: whose lines they are.
        batch: the step of a micro-batch that they are taken in by.
        valid: the rows.
    """
    silver, keys = valid.files, valid.keys
    store, key, transaction = lakehouse.store, source.key, batch.transaction(source.silver)
    # A replay has written the files again; those that silver committed stay.
    if store.has(transaction, source.silver):
        _count_placed(silver, batch)
        store.discard(silver, source.silver)
        return
    # Distinct keys that no file of silver can have need no look at its rows.
    are_new = keys.are_distinct and not store.may_hold(
        source.silver, key, keys.least, keys.greatest
    )
    if are_new and not source.settings.computed:
        store.commit(silver, source.silver, transaction)
        _count_placed(silver, batch)
        return
    # Chunks are counted by lines of the run, so that a replay cuts them alike.
    for number, rows in in_chunks(store.contents(silver, source.silver), run, _CHUNK_LINES):
        held = rows.slice(0, 0) if are_new else _held(lakehouse, source, rows)
        _judge(lakehouse, source, (rows, held), batch.step(str(number)), valid.again)
    store.discard(silver, source.silver)


def _count_placed(silver: Sequence[DataFile | None], batch: Batch) -> None:
    batch.count(rows_out=sum(file.rows for file in silver if file))


def _held(lakehouse: Lakehouse, source: Source, rows: pa.Table) -> pa.Table:
    """Silver's rows that share a key with the rows."""
    return lakehouse.store.arrow(source.silver, among_keys(source.key, rows[source.key]))


def _judge(
    lakehouse: Lakehouse,
    source: Source,
    rows_and_held: tuple[pa.Table, pa.Table],
    batch: Batch,
    again: bool,
) -> None:
    """Append each row to where it belongs; a table that gets none gets no commit."""
    store, catalog, key = lakehouse.store, lakehouse.catalog, source.key
    rows, held = rows_and_held
    judge = with_corrections if source.takes_corrections else dispositions
    by_row = judge(rows, held, key, list(source.settings.landed))
    n_duplicate, n_conflict = (int((by_row == each).sum()) for each in (DUPLICATE, CONFLICT))
    batch.count(
        rows_out=len(rows) - n_duplicate - n_conflict,
        rows_duplicate=n_duplicate,
        rows_rejected=n_conflict,
    )
    repeated, conflicting = (
        rows.filter(pa.array(by_row == disposition)) for disposition in (DUPLICATE, CONFLICT)
    )
    if again:
        repeated = not_yet_in(store, catalog.duplicate, repeated)
        conflicting = not_yet_in(store, catalog.quarantine, conflicting)
    accepted = with_history(lakehouse, source, _accepted(rows, by_row))
    store.append_arrow(accepted, source.silver, batch.transaction(source.silver))
    if len(repeated):
        lines = _lines_of(store, source.bronze, repeated)
        keyed = lines.append_column("key", repeated[key].cast(pa.string()))
        _append_lines(store, source, keyed, catalog.duplicate, batch)
    if len(conflicting):
        lines = _lines_of(store, source.bronze, conflicting)
        reasons = pa.array([[f"{key}: {REASON}"]] * len(lines), pa.list_(pa.string()))
        rejected = lines.append_column("reasons", reasons)
        _append_lines(store, source, rejected, catalog.quarantine, batch)


def _accepted(rows: pa.Table, by_row: np.ndarray) -> pa.Table:
    """The rows that silver takes, corrections marked as such."""
    marks = pa.array(np.ones(len(rows), dtype=np.int32), mask=by_row != CORRECTION)
    taken = pa.array(np.isin(by_row, (ACCEPTED, CORRECTION)))
    columns = [name for name in rows.column_names if name != IS_CORRECTION]
    return rows.select(columns).append_column(IS_CORRECTION, marks).filter(taken)


def _append_lines(
    store: Store, source: Source, lines: pa.Table, table: Table, batch: Batch
) -> None:
    named = lines.append_column("source", pa.repeat(source.name, len(lines)))
    store.append_arrow(named, table, batch.transaction(table))


def _lines_of(store: Store, bronze: Table, rows: pa.Table) -> pa.Table:
    """Bronze's lines that the rows came from, in the order of the rows, which is theirs."""
    wanted = rows.select(["landed_file_id", "line"])
    least, greatest = pc.min_max(wanted["line"]).as_py().values()
    numbered = (pc.field("line") >= least) & (pc.field("line") <= greatest)
    near = store.arrow(bronze, numbered & among_keys("landed_file_id", wanted["landed_file_id"]))
    # From a new checkpoint, bronze may have a line twice.
    once = near.take(pa.array(_first_places(near)))
    return once.join(wanted, ["landed_file_id", "line"], join_type="left semi").sort_by(_IN_ORDER)


def _first_places(lines: pa.Table) -> list[int]:
    pairs = zip(lines["landed_file_id"].to_pylist(), lines["line"].to_pylist(), strict=True)
    return list({pair: place for place, pair in enumerate(pairs)}.values())
