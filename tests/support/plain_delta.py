"""Declared tables on disk without Spark: for tests that write a few rows themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lakehouse.tables import Table
from lakehouse.tables.arrow_types import arrow_schema


def create(root: Path, table: Table) -> None:
    path = f"{root}/{table.layer}/{table.name}"
    DeltaTable.create(path, arrow_schema(table), partition_by=list(table.partition_by))


def replace_rows(root: Path, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """The table with these rows alone; what a row lacks is null."""
    path = f"{root}/{table.layer}/{table.name}"
    write_deltalake(path, pa.Table.from_pylist(list(rows), arrow_schema(table)), mode="overwrite")
