"""Two lakehouses that came to the same state in different ways: their tables, row by row."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from lakehouse.storage.store import Store
from lakehouse.tables import Table

OF_A_RUN = {
    *("recorded_at", "decided_at", "ingested_at", "resolved_at", "seen_at"),
    *("query_id", "ingest_query", "run_id", "training_seconds", "signature"),
}
"""Columns that name a run, its wall clock or the inodes of its files: another run has others."""

_OF_OPERATIONS = {"job_failed", "job_missing", "backlog_grows", "training_failed"}
"""Rules of alerts that tell of runs."""
_MANY = 100_000
"""More rows than that are not compared one by one."""
_TOLD = 3
"""Rows that are told of each table and way to differ."""


def differences(one: Store, other: Store) -> list[str]:
    """How the tables of two lakehouses differ; those of operations tell of runs, and are not
    compared.
    """
    catalog = one.catalog
    left_out = {catalog.batch_metrics, catalog.job_run, catalog.table_commit, catalog.scoring_cost}
    tables = [table for table in catalog.tables if table not in left_out]
    return [words for table in tables for words in _of_table(one, other, table)]


def _of_table(one: Store, other: Store, table: Table) -> Iterable[str]:
    mine, others = (store.arrow(table) for store in (one, other))
    if len(mine) > _MANY:
        more, fewer = _extra_of_many(others, mine), _extra_of_many(mine, others)
    else:
        counted, theirs = _counted(mine), _counted(others)
        more, fewer = theirs - counted, counted - theirs
    for name, rows in (("more", more), ("fewer", fewer)):
        for row, n in list(rows.items())[:_TOLD]:
            yield f"{table.full_name}: {n} {name}: {row}"


def _counted(rows: pa.Table) -> Counter[str]:
    unpacked = map(_unpacked, rows.to_pylist())
    return Counter(str(_plain(row)) for row in unpacked if not _is_of_run(row))


def _extra_of_many(those: pa.Table, these: pa.Table) -> Counter[str]:
    """Some rows of a table that another lacks, for rows that name their run by whole columns.

    Rows are compared as text, in which -0.0 is not 0.0.
    """
    connection = duckdb.connect()
    for name, rows in (("those", those), ("these", these)):
        own = [column for column in rows.column_names if column in OF_A_RUN]
        connection.register(name, rows.drop_columns(own))
    texts = "SELECT those::VARCHAR FROM those EXCEPT ALL SELECT these::VARCHAR FROM these"
    extra = connection.sql(f"FROM ({texts}) LIMIT {_TOLD}").fetchall()
    return Counter(text for (text,) in extra)


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    """A row of bronze.kept_row as the one that it keeps."""
    if "content" not in row:
        return row
    return {"table_name": row["table_name"], **json.loads(row["content"])}


def _is_of_run(row: Mapping[str, Any]) -> bool:
    is_cost = row.get("table_name") == "silver.scoring_cost"
    return is_cost or row.get("rule") in _OF_OPERATIONS


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in sorted(value.items()) if name not in OF_A_RUN}
    if isinstance(value, list) and value and all(_is_pair(each) for each in value):
        return _plain(dict(value))
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[0], str)
