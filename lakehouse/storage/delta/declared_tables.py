"""Tables on disk as they are declared: created where missing, migrated where older."""

import json

from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from lakehouse.errors import StoreError
from lakehouse.storage.delta.checksums import write_checksum
from lakehouse.tables import Table
from lakehouse.tables.arrow_types import arrow_schema
from lakehouse.tables.declaration import VERSION_PROPERTY
from lakehouse.tables.migration import AddedColumn, migration_of


def create(table: Table, path: str) -> None:
    """Create the table at a path, unless it is there; Spark need not run."""
    DeltaTable.create(
        path,
        arrow_schema(table),
        mode="ignore",
        partition_by=list(table.partition_by),
        name=table.name,
        description=table.grain,
        configuration=table.properties,
        raise_if_key_not_exists=False,  # our own property is none of Delta's
    )
    write_checksum(path, 0)


def added_columns(table: Table, path: str) -> tuple[AddedColumn, ...] | None:
    """The columns that the table on disk lacks; None if it is as declared.

    Raises:
        StoreError: it differs by more than columns to add; all differences are named.
    """
    delta = DeltaTable(path)
    version = int(delta.metadata().configuration.get(VERSION_PROPERTY, 1))
    on_disk = StructType.fromJson(json.loads(delta.schema().to_json()))
    migration = migration_of(table, on_disk, version)
    if migration.obstacles:
        root = path.removesuffix(table.path_in(""))
        raise StoreError(f"{table.full_name} in {root}: {'; '.join(migration.obstacles)}")
    return migration.added if migration.added or version != table.version else None


def migrate(spark: SparkSession, table: Table, path: str, added: tuple[AddedColumn, ...]) -> None:
    """Add the columns, and set the declared properties, the schema's version among them."""
    name = f"delta.`{path}`"
    if added:  # by Spark: delta-rs adds no fields within a column
        columns = ", ".join(map(_as_ddl, added))
        spark.sql(f"ALTER TABLE {name} ADD COLUMNS ({columns})")
    properties = ", ".join(f"'{key}' = '{value}'" for key, value in table.properties.items())
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ({properties})")


def check_columns(rows: StructType, table: Table) -> None:
    """Compare the columns of rows with the table's.

    Raises:
        StoreError: a declared column is missing, or of another type; all such are named.
    """
    kinds = {field.name: field.dataType.simpleString() for field in rows}
    wrong = [
        f"{field.name} is {kinds.get(field.name, 'missing')}, declared "
        f"{field.dataType.simpleString()}"
        for field in table.schema
        if kinds.get(field.name) != field.dataType.simpleString()
    ]
    if wrong:
        raise StoreError(f"rows for {table.full_name}: {'; '.join(wrong)}")


def _as_ddl(column: AddedColumn) -> str:
    path = ".".join(f"`{part}`" for part in column.path)
    comment = column.comment.replace("\\", "\\\\").replace("'", "\\'")
    return f"{path} {column.ddl} COMMENT '{comment}'"
