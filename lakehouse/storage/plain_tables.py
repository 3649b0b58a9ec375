"""Tables of a lakehouse by its root alone: small reads and appends without a Spark session."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from pyarrow.compute import Expression

from lakehouse.errors import StoreError, words_of
from lakehouse.storage.delta import file_statistics
from lakehouse.storage.delta.checksums import write_checksum
from lakehouse.storage.delta.dataset import dataset_of
from lakehouse.storage.delta.locks import not_copied
from lakehouse.storage.delta.opened import open_table
from lakehouse.tables import Table

Row = dict[str, Any]
_LONGEST_REASON = 200


def read_rows(
    root: str,
    table: Table,
    columns: Sequence[str] | None = None,
    where: Expression | None = None,
    partitions: str | None = None,
) -> list[Row]:
    """Rows of a table, maps as dictionaries; for the arguments see `Store.arrow`.

    A column that an older release did not know is missing from the rows.

    Raises:
        StoreError: the lakehouse has no such table.
    """
    delta = _opened(root, table)
    there = [field.name for field in delta.schema().fields]
    wanted = there if columns is None else [name for name in columns if name in there]
    dataset = dataset_of(delta, partitions)
    rows = dataset.to_table(wanted, where, use_threads=False)
    maps = [field.name for field in rows.schema if pa.types.is_map(field.type)]
    return [row | {name: dict(row[name] or ()) for name in maps} for row in rows.to_pylist()]


def read_at(
    root: str,
    table: Table,
    version: int | None,
    columns: Sequence[str],
    where: Expression | None = None,
) -> pa.Table:
    """A part of a table as it was at a Delta version; as it is now without one.

    Raises:
        StoreError: that version is gone: its commits, or files that it had.
    """
    path = table.path_in(root)
    try:
        dataset = dataset_of(open_table(path, table.full_name, version))
        there = [name for name in columns if name in dataset.schema.names]
        return dataset.to_table(there, where, use_threads=False)
    except (DeltaError, OSError, pa.ArrowException) as error:
        at = "" if version is None else f"@{version}"
        # Arrow quotes values; Delta and the file system name versions and files.
        words = str(error) if isinstance(error, DeltaError | OSError) else words_of(error)
        why = words.splitlines()[0][:_LONGEST_REASON]
        raise StoreError(f"{table.full_name}{at} cannot be read any more: {why}") from error


def read_columns(root: str, table: Table, columns: Sequence[str]) -> pa.Table:
    """Columns of a table as it is now.

    Raises:
        StoreError: the lakehouse has no such table.
    """
    dataset = dataset_of(_opened(root, table))
    return dataset.to_table(list(columns), use_threads=False)


def append_rows(root: str, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows in one commit; what a row lacks is null. No rows, no commit.

    Raises:
        StoreError: the lakehouse has no such table.
    """
    if not rows:
        return
    delta = _opened(root, table)
    schema = pa.schema(delta.schema().to_arrow())
    with not_copied(root):
        write_deltalake(delta, pa.Table.from_pylist(list(rows), schema), mode="append")
        write_checksum(table.path_in(root), delta.version())


def table_version(root: str, table: Table) -> int:
    """Return the newest Delta version of a table.

    Raises:
        StoreError: the lakehouse has no such table.
    """
    return int(_opened(root, table).version())


def has_table(root: str, table: Table) -> bool:
    """Whether the lakehouse has a table; one of an older release lacks newer ones."""
    return bool(DeltaTable.is_deltatable(table.path_in(root)))


def newest_time(root: str, table: Table, column: str) -> dt.datetime | None:
    """Return the newest time in a column, to the millisecond; None where no file tells it.

    Raises:
        StoreError: the lakehouse has no such table.
    """
    span = file_statistics.span(file_statistics.files_of(_opened(root, table)), column)
    return None if span is None else span[1].astimezone(dt.UTC)


def newest_day(root: str, table: Table) -> dt.date | None:
    """Return the newest day of a table that is partitioned by `window_date`; None without rows.

    Raises:
        StoreError: the lakehouse has no such table.
    """
    return file_statistics.newest_day(_opened(root, table))


def _opened(root: str, table: Table) -> DeltaTable:
    if not has_table(root, table):
        path = table.path_in(root)
        raise StoreError(
            f"{path}: there is no table; name the root of a lakehouse, and its model's YAML file, "
            "or run a job there once, such as jobs/run_pipeline.py"
        )
    return open_table(table.path_in(root), table.full_name)
