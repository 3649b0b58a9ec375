"""Declared tables on disk without Spark: for tests that write a few rows themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lakehouse.tables import Table

_PLAIN = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "int": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}


def create(root: Path, table: Table) -> None:
    schema = pa.schema([(column.name, _type(column.ddl)) for column in table.columns])
    path = f"{root}/{table.layer}/{table.name}"
    DeltaTable.create(path, schema, partition_by=list(table.partition_by))


def replace_rows(root: Path, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """The table with these rows alone; what a row lacks is null."""
    schema = pa.schema([(column.name, _type(column.ddl)) for column in table.columns])
    path = f"{root}/{table.layer}/{table.name}"
    write_deltalake(path, pa.Table.from_pylist(list(rows), schema), mode="overwrite")


def _type(ddl: str) -> pa.DataType:
    if ddl in _PLAIN:
        return _PLAIN[ddl]
    kind, _, inner = ddl.partition("<")
    parts = _parts(inner.removesuffix(">"))
    if kind == "array":
        return pa.list_(_type(parts[0]))
    if kind == "map":
        return pa.map_(_type(parts[0]), _type(parts[1]))
    fields = [part.partition(":") for part in parts]
    return pa.struct([(name, _type(of_field)) for name, _, of_field in fields])


def _parts(text: str) -> list[str]:
    """The text, cut at commas that stand in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
