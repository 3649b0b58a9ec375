"""A declared table's schema in Arrow's types: Spark's own reading of DDL needs a running Spark."""

import pyarrow as pa

from lakehouse.instants import ARROW_MOMENT
from lakehouse.tables.declaration import Table

_PLAIN = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "int": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": ARROW_MOMENT,
}


def arrow_schema(table: Table) -> pa.Schema:
    """The schema with comments; all fields are nullable."""
    return pa.schema(
        [
            pa.field(column.name, arrow_type(column.ddl), metadata={"comment": column.comment})
            for column in table.columns
        ]
    )


def arrow_type(ddl: str) -> pa.DataType:
    """Arrow's type of a DDL text.

    >>> str(arrow_type("map<string,array<double>>"))
    'map<string, list<item: double>>'
    """
    if ddl in _PLAIN:
        return _PLAIN[ddl]
    kind, _, inner = ddl.partition("<")
    parts = _parts(inner.removesuffix(">"))
    if kind == "array":
        return pa.list_(arrow_type(parts[0]))
    if kind == "map":
        return pa.map_(arrow_type(parts[0]), arrow_type(parts[1]))
    fields = [part.partition(":") for part in parts]
    return pa.struct([(name, arrow_type(of_field)) for name, _, of_field in fields])


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
