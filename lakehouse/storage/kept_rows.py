"""Records that nothing can be made from again, kept a second time in bronze.

Silver and gold are made from bronze and the registry, but for what was decided, promoted, silenced
or told, and which version scored which micro-batch. bronze.kept_row trails these records: the rows
of each commit that it lacks are read from the table's log, so a run that was cut off leaves no
hole, and how far a table is kept is a Delta transaction of bronze.kept_row.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.errors import LockedError
from lakehouse.storage.delta_log import actions_of
from lakehouse.storage.folders import Folder
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.store import Row, Store, Transaction
from lakehouse.tables import Catalog, Table
from lakehouse.tables.arrow_types import arrow_schema


def kept_tables(catalog: Catalog) -> tuple[Table, ...]:
    """The records that are kept a second time."""
    return (
        catalog.scoring_ledger,
        catalog.scoring_cost,
        catalog.unscorable,
        catalog.monitor,
        catalog.decision,
        catalog.promotion,
        catalog.rollout,
        catalog.alert_event,
        catalog.alert_delivery,
        catalog.alert_silence,
    )


def keep_rows(lakehouse: Lakehouse, *tables: Table) -> None:
    """Keep the rows of these records that bronze.kept_row lacks; of all records without any.

    Where another process is keeping rows, this one leaves it to that one, or to the next step.
    """
    store, kept = lakehouse.store, lakehouse.catalog.kept_row
    records = tables or kept_tables(lakehouse.catalog)
    with suppress(LockedError), store.writing(kept):
        rows: list[Row] = []
        marks: list[Transaction] = []
        ids = {each: store.table_id(each) for each in records}
        reached = store.reached(kept, ids.values())
        for each, table_id in ids.items():
            newest, known = store.version(each), reached[table_id]
            if known is None or known < newest:
                rows += _as_kept(store, each, -1 if known is None else known, newest)
                marks.append(Transaction(table_id, newest))
        if rows:
            store.append_rows(rows, kept, *marks)


def kept_rows(lakehouse: Lakehouse, table: Table) -> list[Row]:
    """The rows of a record as bronze.kept_row has them, in the order in which they were written.

    A row that was kept twice comes once, by its keys.
    """
    of_table = pc.field("table_name") == table.full_name
    found = lakehouse.store.rows(lakehouse.catalog.kept_row, of_table)
    found.sort(key=lambda row: (row["recorded_at"], row["version"], row["place"]))
    schema = arrow_schema(table)
    rows = [from_text(row["content"], schema) for row in found]
    return list({tuple(row[key] for key in table.keys): row for row in rows}.values())


def as_text(row: Mapping[str, Any]) -> str:
    """A row as JSON.

    >>> as_text({"at": dt.datetime(2024, 3, 1, tzinfo=dt.UTC), "evidence": [("rows", 2.0)]})
    '{"at": "2024-03-01T00:00:00+00:00", "evidence": [["rows", 2.0]]}'
    """
    return json.dumps(row, ensure_ascii=False, default=_iso)


def _iso(moment: dt.datetime | dt.date) -> str:
    return moment.isoformat()


def from_text(text: str, schema: pa.Schema) -> Row:
    """The inverse of `as_text`: the columns of the schema; one that the text lacks is null.

    >>> schema = pa.schema({"at": pa.timestamp("us", "UTC"), "why": pa.string()})
    >>> from_text('{"at": "2024-03-01T00:00:00+00:00"}', schema)
    {'at': datetime.datetime(2024, 3, 1, 0, 0, tzinfo=datetime.timezone.utc), 'why': None}
    """
    given = json.loads(text)
    return {field.name: _value(given.get(field.name), field.type) for field in schema}


def _value(given: Any, kind: pa.DataType) -> Any:
    if given is None:
        return None
    if pa.types.is_temporal(kind):
        read = dt.date if pa.types.is_date(kind) else dt.datetime
        return read.fromisoformat(given)
    if pa.types.is_map(kind):
        return [(_value(key, kind.key_type), _value(each, kind.item_type)) for key, each in given]
    if pa.types.is_list(kind):
        return [_value(each, kind.value_type) for each in given]
    if pa.types.is_struct(kind):
        return {field.name: _value(given.get(field.name), field.type) for field in kind}
    return given


def _as_kept(store: Store, table: Table, known: int, newest: int) -> list[Row]:
    """What bronze.kept_row is to have of the versions after the known one."""
    at = dt.datetime.now(dt.UTC)
    return [
        {
            "table_name": table.full_name,
            "table_id": store.table_id(table),
            "version": version,
            "place": place,
            "content": as_text(row),
            "recorded_at": at,
        }
        for version, rows in _rows_after(store, table, known, newest)
        for place, row in enumerate(rows)
    ]


def _rows_after(
    store: Store, table: Table, known: int, newest: int
) -> Iterable[tuple[int, list[Row]]]:
    """The rows of each version after the known one; all rows, as of the newest, where the log or
    a file does not reach back so far.
    """
    try:
        if known >= 0:
            versions = range(known + 1, newest + 1)
            return [(version, _rows_of(store.path(table), version)) for version in versions]
    except OSError:  # a month has passed, or a compaction was cleaned up
        pass
    return [(newest, store.rows(table))]


def _rows_of(path: str, version: int) -> list[Row]:
    """The rows that a commit added; a compaction adds none.

    Raises:
        OSError: the commit, or a file of it, is gone.
    """
    actions, folder = actions_of(path, version), Folder(path)
    if actions is None:
        raise FileNotFoundError(f"{path}: version {version}")
    rows: list[Row] = []
    for added in (action["add"] for action in actions if "add" in action):
        if added.get("dataChange", True):
            with folder.open(unquote(added["path"])) as file:
                rows += pq.read_table(file).to_pylist()
    return rows
