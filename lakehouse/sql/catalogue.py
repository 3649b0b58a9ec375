"""What derives from the declarations: docs/tables.md, and SQL that names tables and views."""

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import sqlglot
from sqlglot import exp

from lakehouse.errors import ConfigurationError
from lakehouse.tables import Catalog, Table, View
from lakehouse.tables.declaration import Column

_LAYERS = {
    "bronze": "Lines as they came; nothing is dropped",
    "silver": "Typed, valid rows, one for each key; predictions; what was rejected, and why",
    "gold": "Facts, metrics, decisions and promotions, and views of them",
}
_MARK = "-- Root: "
_PAGE = """# Tables and views

As for `conf/glassware.yaml`: a model's YAML file names the columns of readings and labels, and
metrics of its own.
Made by `python -m tools.tables_doc`, from `lakehouse/tables`.
"""


def as_list(catalog: Catalog, views: Iterable[View]) -> str:
    """A line for each table and view: what a row is."""
    tables = [f"| `{table.full_name}` | {table.grain} |" for table in catalog.tables]
    return "\n".join(
        [
            "| | |",
            "|---|---|",
            *tables,
            *(f"| `{view.full_name}` (view) | {view.grain} |" for view in views),
        ]
    )


def as_markdown(catalog: Catalog, views: Iterable[View]) -> str:
    """A page with a section for each table and view: what a row is, and the columns."""
    return "\n".join(
        [_PAGE, *map(_table_as_markdown, catalog.tables), *map(_view_as_markdown, views)]
    )


def as_spark_sql(
    catalog: Catalog, views: Iterable[View], root: str, path_of: Callable[[Table], str]
) -> str:
    """Statements that make `layer.table` and the views known to Spark (`spark-sql -i`).

    The comments of a table's columns are those that its Delta log holds.
    """
    databases = [
        f"CREATE DATABASE IF NOT EXISTS {name} COMMENT {_spark(words)};"
        for name, words in _LAYERS.items()
    ]
    tables = [
        f"CREATE TABLE IF NOT EXISTS {table.full_name} USING DELTA COMMENT {_spark(table.grain)}"
        f" LOCATION {_spark(path_of(table))};"
        for table in catalog.tables
    ]
    return "\n".join([f"{_MARK}{root}", *databases, *tables, *map(_spark_view, views), ""])


def as_duckdb_sql(
    catalog: Catalog, views: Iterable[View], root: str, path_of: Callable[[Table], str]
) -> str:
    """The same for DuckDB: a table is a view of `delta_scan`, which reads the newest version."""
    schemas = [f"CREATE SCHEMA IF NOT EXISTS {name};" for name in _LAYERS]
    tables = [
        f"CREATE OR REPLACE VIEW {table.full_name} AS SELECT * FROM "
        f"delta_scan({_duckdb(path_of(table))});\n"
        + _duckdb_comments(
            table.full_name,
            table.grain,
            [(column.name, column.comment) for column in table.columns],
        )
        for table in catalog.tables
    ]
    settings = ["INSTALL delta;", "LOAD delta;", "SET TimeZone = 'UTC';"]
    return "\n".join(
        [f"{_MARK}{root}", *settings, *schemas, *tables, *map(_duckdb_view, views), ""]
    )


def no_lakehouse(root: Path) -> ConfigurationError:
    """Say that a folder holds none of the statements that a lakehouse writes when it is opened."""
    return ConfigurationError(f"--root: {root} holds no lakehouse; write the folder of one")


def at_root(sql: str, root: str) -> str:
    """Spark's statements for a lakehouse that is at `root` now, perhaps as a copy.

    Raises:
        ConfigurationError: they do not say for which root they were made.
    """
    recorded = re.match(f"{_MARK}(.*)\n", sql)
    if recorded is None:
        raise ConfigurationError(
            f"{root}/_system/tables.sql: an older commit wrote it; run a job there once more"
        )
    before, after = (_spark(f"{place}/").removesuffix("'") for place in (recorded[1], root))
    return f"{_MARK}{root}\n" + sql.removeprefix(recorded[0]).replace(before, after)


def statements_of(sql: str) -> list[str]:
    """The single statements of such a file, for a client that takes one at a time."""
    return [statement for statement in sql.split(";\n") if statement.strip()]


@cache
def in_duckdb(sql: str) -> str:
    """Spark's SQL as DuckDB's: names quoted (`window` and `end` are keywords), NULLs in order."""
    return sqlglot.transpile(sql, read="spark", write="duckdb", identify=True, pretty=True)[0]


def _spark_view(view: View) -> str:
    columns = ",\n".join(
        f"  {column.name} COMMENT {_spark(column.comment)}" for column in view.columns
    )
    head = (
        f"CREATE OR REPLACE VIEW {view.full_name} (\n{columns}\n)\nCOMMENT {_spark(view.grain)} AS"
    )
    return f"{head}\n{view.sql};"


def _duckdb_view(view: View) -> str:
    comments = _duckdb_comments(
        view.full_name, view.grain, [(column.name, column.comment) for column in view.columns]
    )
    return f"CREATE OR REPLACE VIEW {view.full_name} AS\n{in_duckdb(view.sql)};\n{comments}"


def _duckdb_comments(name: str, grain: str, columns: Iterable[tuple[str, str]]) -> str:
    of_columns = [
        f'COMMENT ON COLUMN {name}."{column}" IS {_duckdb(comment)};' for column, comment in columns
    ]
    return "\n".join([f"COMMENT ON VIEW {name} IS {_duckdb(grain)};", *of_columns])


def _spark(text: str) -> str:
    return exp.Literal.string(_on_one_line(text)).sql(dialect="spark")


def _duckdb(text: str) -> str:
    return exp.Literal.string(_on_one_line(text)).sql(dialect="duckdb")


def _on_one_line(text: str) -> str:
    """A text in which no statement can end, or seem to: clients are given one at a time."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _table_as_markdown(table: Table) -> str:
    keys = ", ".join(f"`{key}`" for key in table.keys)
    return _section(table.full_name, f"{table.grain}. One row per {keys}.", table.columns)


def _view_as_markdown(view: View) -> str:
    return _section(f"{view.full_name} (view)", f"{view.grain}.", view.columns)


def _section(name: str, words: str, columns: Iterable[Column]) -> str:
    rows = [f"| `{column.name}` | {_short(column.ddl)} | {column.comment} |" for column in columns]
    return "\n".join(
        [f"## {name}", "", words, "", "| column | type | |", "|---|---|---|", *rows, ""]
    )


def _short(ddl: str) -> str:
    return f"`{ddl}`" if len(ddl) <= 60 else f"`{ddl.split('<', maxsplit=1)[0]}<...>`"
