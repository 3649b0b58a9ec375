"""What is derived from the tables' declarations: the README's catalogue, and the SQL that gives the tables names."""

from collections.abc import Callable

from lakehouse.settings import load_model_settings
from lakehouse.tables import Catalog, Table, catalog_of


def as_markdown(catalog: Catalog) -> str:
    """A section for each table: what a row is, its keys, and its columns."""
    return "\n".join(_table_as_markdown(table) for table in catalog.tables)


def as_init_sql(catalog: Catalog, path_of: Callable[[Table], str]) -> str:
    """Statements that make `layer.table` known to `spark-sql -i`; they write nothing to the tables."""
    layers = dict.fromkeys(table.layer for table in catalog.tables)
    databases = [f"CREATE DATABASE IF NOT EXISTS {layer};" for layer in layers]
    tables = [
        f"CREATE TABLE IF NOT EXISTS {table.full_name} USING DELTA LOCATION '{path_of(table)}';"
        for table in catalog.tables
    ]
    return "\n".join([*databases, *tables, ""])


def _table_as_markdown(table: Table) -> str:
    keys = ", ".join(f"`{key}`" for key in table.keys)
    columns = [f"| `{column.name}` | {_short(column.ddl)} | {column.comment} |" for column in table.columns]
    head = f"<details><summary><b>{table.full_name}</b>: {table.grain}</summary>"
    return "\n".join(
        [head, "", f"One row per {keys}.", "", "| column | type | |", "|---|---|---|", *columns, "", "</details>"]
    )


def _short(ddl: str) -> str:
    return f"`{ddl}`" if len(ddl) <= 60 else f"`{ddl.split('<', maxsplit=1)[0]}<...>`"


if __name__ == "__main__":
    print(as_markdown(catalog_of(load_model_settings("conf/glassware.yaml"))))
