"""Declared tables on disk without Spark: for tests that write a few rows themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lakehouse.settings import load_model_settings
from lakehouse.sql.catalogue import as_duckdb_sql
from lakehouse.sql.views import views_of
from lakehouse.tables import Catalog, Table, catalog_of
from lakehouse.tables.arrow_types import arrow_schema


def create(root: Path, table: Table) -> None:
    path = f"{root}/{table.layer}/{table.name}"
    DeltaTable.create(path, arrow_schema(table), partition_by=list(table.partition_by))


def lakehouse_at(root: Path) -> Catalog:
    """A lakehouse of the glass works on disk, as a job has opened it; without a row."""
    model = load_model_settings("conf/glassware.yaml")
    catalog = catalog_of(model)
    for table in catalog.tables:
        create(root, table)
    system = root / "_system"
    system.mkdir()
    (system / "model").write_text(model.name)
    sql = as_duckdb_sql(
        catalog,
        views_of(model, catalog),
        str(root),
        lambda table: f"{root}/{table.layer}/{table.name}",
    )
    (system / "tables.duckdb.sql").write_text(sql, encoding="utf-8")
    return catalog


def replace_rows(root: Path, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """The table with these rows alone; what a row lacks is null."""
    path = f"{root}/{table.layer}/{table.name}"
    write_deltalake(path, pa.Table.from_pylist(list(rows), arrow_schema(table)), mode="overwrite")
