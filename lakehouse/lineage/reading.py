"""The graph of a lakehouse that is not opened: its records in DuckDB, without Spark, in seconds."""

import datetime as dt
import difflib
import re
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from lakehouse.errors import ConfigurationError
from lakehouse.lineage.graph import Edge, Graph, Node, graph_of, natural
from lakehouse.lineage.queries import sql_of
from lakehouse.settings import ModelSettings
from lakehouse.sql.ancestry import ancestry_sql
from lakehouse.sql.catalogue import in_duckdb, no_lakehouse
from lakehouse.sql.lineage_views import PART
from lakehouse.sql.views import views_of
from lakehouse.storage.snapshot import Snapshot
from lakehouse.tables import Table, catalog_of

Row = dict[str, Any]
RowsOf = Callable[[Table, set[str]], pa.Table | None]
_KINDS = ("file", "run", "model", "window", "windows", "decision", "promotion", "alert")
_NEAREST = 3
_OF_WINDOWS = {
    *("window", "granularity", "log_type", "slice_key", "column_name", "count", "n_labelled"),
    *("as_of", "as_of_version", "accuracy_score", "is_final"),
}
_SHORT_DIGEST = 12
_MANY_FILES = 100
_WITH_MANY_FILES = f"""
CREATE OR REPLACE TEMP TABLE many_files AS
SELECT to_id, 'taken in by' AS relation, COUNT(*) AS n, MIN(number) AS first, MAX(number) AS last,
  CAST(SUM(rows) AS BIGINT) AS lines, ARG_MIN(name, number) AS first_name,
  ARG_MAX(name, number) AS last_name,
  'file/' || MIN(number) || ' … file/' || MAX(number) AS from_id
FROM (
  SELECT l.to_id, l.rows, CAST(SPLIT_PART(l.from_id, '/', 2) AS BIGINT) AS number,
    l.details['source_file'] AS name
  FROM gold.lineage AS l SEMI JOIN ancestors AS a ON a.id = l.from_id WHERE l.from_kind = 'file'
) GROUP BY to_id HAVING COUNT(*) > {_MANY_FILES}
"""
"""Commits of ancestors that took in so many files that these are one node."""
_EVERYTHING: Row = {"rows_from": None, "rows_to": None}


@dataclass(frozen=True)
class Records:
    """What a lakehouse has on record of where things come from.

    Attributes:
        root: of the lakehouse.
        model: its settings.
        connection: of a DuckDB that has a copy of the records.
    """

    root: str
    model: ModelSettings
    connection: duckdb.DuckDBPyConnection

    def rows(self, sql: str) -> list[Row]:
        """The answer to a query in Spark's SQL."""
        found: pa.Table = self.connection.sql(in_duckdb(sql)).to_arrow_table()
        return found.to_pylist()

    def find_edges(self) -> None:
        """Keep the edges of what is copied by now: to walk along them asks for them many times."""
        views = views_of(self.model, catalog_of(self.model))
        sql = next(view.sql for view in views if view.name == "lineage")
        self.connection.execute(f"CREATE OR REPLACE TABLE gold.lineage AS {in_duckdb(sql)}")

    def ancestry(self, node: str) -> Graph:
        """All that a node was made from.

        Raises:
            ConfigurationError: nothing of that id is on record.
        """
        return self.ancestry_of(self.resolved(node))

    def ancestry_of(self, node: str) -> Graph:
        """The same of a full id that is on record."""
        kind = kind_of(node)
        found = in_duckdb(ancestry_sql(kind, node))
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE ancestors AS {found}")
        self.connection.execute(_WITH_MANY_FILES)
        own = "SELECT id FROM ancestors"
        edges = self.connection.sql(
            f"FROM gold.lineage WHERE to_id IN ({own}) AND from_id IN ({own}) "
            f"AND relation <> '{PART}' AND NOT (from_kind = 'file' AND to_id IN "
            "(SELECT to_id FROM many_files))"
        )
        rows = _rows_of(edges)
        single = {row["from_id"] for row in rows if row["from_kind"] == "file"} | {node}
        others = self.connection.sql("FROM ancestors WHERE kind <> 'file'").fetchall()
        kinds = {id_: of for of, id_ in others} | {
            id_: "file" for id_ in single if id_.startswith("file/")
        }
        many = _rows_of(self.connection.sql("FROM many_files"))
        return self._graph(node, kinds, rows, many)

    def ancestor_ids(self) -> frozenset[str]:
        """The ids of the ancestors that were asked for last: each file by itself."""
        return frozenset(
            row[0] for row in self.connection.sql("SELECT id FROM ancestors").fetchall()
        )

    def resolved(self, node: str) -> str:
        """The full id that a command line means: `promotion/6` is the promotion of version 6.

        Raises:
            ConfigurationError: nothing of that id is on record; the message names the nearest.
        """
        kind, day = kind_of(node), re.search(r"\d{4}-\d\d-\d\d", node)
        if kind in ("window", "alert"):
            copy_metrics(self, dt.date.fromisoformat(day[0]) if day and kind == "window" else None)
        ids = sorted(self._ids(kind), key=natural)
        if kind == "window" and node not in ids and _meant(node, ids) is None:
            copy_metrics(self, None)  # to name the nearest
            ids = sorted(self._ids(kind), key=natural)
        if node in ids or (kind in ("table", "commit") and self._has_version(node)):
            return node
        meant = _meant(node, ids)
        if meant is None:
            raise ConfigurationError(
                f"--of {node}: nothing of that id is on record; {_near(node, ids)}"
            )
        return meant

    def _ids(self, kind: str) -> set[str]:
        sql = (
            f"SELECT from_id FROM gold.lineage WHERE from_kind = '{kind}' "
            f"UNION SELECT to_id FROM gold.lineage WHERE to_kind = '{kind}'"
        )
        return {row[0] for row in self.connection.sql(sql).fetchall()}

    def _has_version(self, node: str) -> bool:
        name, version = re.split("[@#]", node)
        sql = "SELECT 1 FROM gold.table_commit WHERE table_name = ? AND version >= ?"
        return bool(self.connection.execute(sql, [name, int(version)]).fetchall())

    def _graph(self, of: str, kinds: Mapping[str, str], rows: list[Row], many: list[Row]) -> Graph:
        nodes = [*_nodes(kinds, rows), *map(_range_of_files, many)]
        edges = [Edge(row["from_id"], row["to_id"], row["relation"]) for row in [*rows, *many]]
        tables = [node.id for node in nodes if node.kind == "table"]
        commits = self.rows(
            "SELECT c.*, CONCAT(table_name, '#', CAST(version AS STRING)) AS id "
            "FROM gold.table_commit AS c WHERE rows > 0"
        )
        own = [commit for commit in commits if commit["id"] in kinds]
        for table in tables:
            read = [row for row in rows if row["from_id"] == table] or [_EVERYTHING]
            parts = [commit for commit in own if any(_is_part(commit, table, r) for r in read)]
            edges += [Edge(commit["id"], table, "part of") for commit in parts]
        return graph_of(of, nodes, edges)


@contextmanager
def records_of(root: str, model: ModelSettings) -> Iterator[Records]:
    """The records of a lakehouse; of windows those that an id asks for, see `copy_metrics`.

    Raises:
        ConfigurationError: there is no lakehouse in that folder.
    """
    if not (Path(root) / "_system" / "model").exists():
        raise no_lakehouse(Path(root))
    snapshot = Snapshot(root)
    with duckdb.connect() as connection:
        records = Records(root, model, connection)
        copy_records(records, lambda table, words: _rows_on_disk(snapshot, table, words))
        yield records


def copy_records(records: Records, rows_of: RowsOf) -> None:
    """Copy what is on record, and find the edges.

    Args:
        records: whose DuckDB is empty.
        rows_of: the rows of a table, with at least those of its columns that are named; None where
            there is no such table.
    """
    model, connection = records.model, records.connection
    catalog = catalog_of(model)
    views = {view.name: view for view in views_of(model, catalog)}
    own = [views["lineage"], views["promotion_provenance"]]
    words = set(re.findall(r"\w+", " ".join(view.sql for view in own))) | {"files", "sha256"}
    connection.execute("SET TimeZone = 'UTC'")
    for layer in ("bronze", "silver", "gold"):
        connection.execute(f"CREATE SCHEMA {layer}")
    tables = (catalog.landed_file, catalog.table_commit, catalog.scoring_ledger)
    for table in (*tables, catalog.decision, catalog.promotion, catalog.alert_event):
        _copy(connection, table, words, rows_of(table, words))
    _copy(connection, catalog.profile_metrics, words, None)
    provenance = views["promotion_provenance"]
    connection.execute(f"CREATE VIEW {provenance.full_name} AS {in_duckdb(provenance.sql)}")
    records.find_edges()


def copy_metrics(records: Records, day: dt.date | None) -> None:
    """Copy the windows that begin on a day, or all of them: a file for each day is opened."""
    table, snapshot = catalog_of(records.model).profile_metrics, Snapshot(records.root)
    there = snapshot.columns(table.full_name)
    names = {*_OF_WINDOWS, records.model.metrics.model_id_column}
    on_day = "granularity IS NOT NULL" + (f" AND window_date = '{day}'" if day else "")
    columns = {name: pc.field(name) for name in there if name in names}
    rows = snapshot.arrow(table.full_name, columns, on_day)
    of_tables = rows.filter(pc.equal(rows["column_name"], ":table"))
    _copy(records.connection, table, names, of_tables)
    records.find_edges()


def kind_of(node: str) -> str:
    """The kind that an id names.

    Raises:
        ConfigurationError: it names none.
    """
    name = node.split("/", maxsplit=1)[0]
    if name in _KINDS:
        return name
    if re.fullmatch(r"(bronze|silver|gold)\.\w+[@#]\d+", node):
        return "table" if "@" in node else "commit"
    raise ConfigurationError(
        f"--of {node}: write model/6, promotion/6, decision/2019-08-05, window/2019-07-19, "
        "file/17, run/5f2c, alert/1f20, prediction/100123, or a table such as "
        "silver.sensor_reading@80"
    )


def _meant(node: str, ids: list[str]) -> str | None:
    """The one id that a shorter one stands for; None where none or several do."""
    kind, _, rest = node.partition("/")
    if kind == "promotion" and rest.isdigit():
        own = [
            each for each in ids if re.fullmatch(rf"promotion/[^/]+/promote/{rest}(/\d+)?", each)
        ]
        return own[-1] if own else None
    if kind == "window":
        own = [each for each in ids if each.split("/")[-1] == rest and "/1 day/" in each]
    else:
        own = [each for each in ids if each.startswith(node)]
    return own[0] if len(own) == 1 and rest else None


def _near(node: str, ids: list[str]) -> str:
    """The ids that are likest, in words."""
    if not ids:
        return "nothing of its kind is"
    kind, _, rest = node.partition("/")
    if kind in ("run", "alert"):
        near = difflib.get_close_matches(node, ids, _NEAREST, 0.0)
    else:
        full = f"window/1 day/{rest}" if kind == "window" and "/" not in rest else node
        place = bisect([natural(each) for each in ids], natural(full))
        start = max(0, min(place - _NEAREST // 2 - 1, len(ids) - _NEAREST))
        near = ids[start : start + _NEAREST]
    return f"the nearest are {', '.join(near)}"


def _rows_on_disk(snapshot: Snapshot, table: Table, words: set[str]) -> pa.Table | None:
    """The columns of a table that the views name; None where an older release made none."""
    if not snapshot.has(table.full_name):
        return None
    names = [name for name in snapshot.columns(table.full_name) if name in words]
    return snapshot.arrow(table.full_name, {name: pc.field(name) for name in names})


def _copy(
    connection: duckdb.DuckDBPyConnection, table: Table, words: set[str], rows: pa.Table | None
) -> None:
    """Copy rows into a table of the declared columns; a column that they lack is null."""
    columns = ", ".join(
        f'"{column.name}" {exp.DataType.build(column.ddl, dialect="spark").sql("duckdb")}'
        for column in table.columns
        if column.name in words
    )
    connection.execute(f"CREATE OR REPLACE TABLE {table.full_name} ({columns})")
    if rows is not None:
        connection.register("given", rows)
        connection.execute(f"INSERT INTO {table.full_name} BY NAME SELECT * FROM given")
        connection.unregister("given")


def _rows_of(relation: duckdb.DuckDBPyRelation) -> list[Row]:
    rows: list[Row] = relation.to_arrow_table().to_pylist()
    return [row | {"details": dict(row.get("details") or ())} for row in rows]


def _range_of_files(row: Row) -> Node:
    """The files that one commit took in, where they are too many to be shown one by one."""
    facts = {
        "rows": f"{row['lines']:,}",
        "source_file": f"{row['first_name']} … {row['last_name']}",
    }
    where = f"landed_file_id BETWEEN {row['first']} AND {row['last']}"
    sql = f"SELECT * FROM bronze.landed_file WHERE {where}"
    return Node("file", row["from_id"], row["n"], facts, sql)


def _nodes(kinds: Mapping[str, str], rows: list[Row]) -> list[Node]:
    """The nodes, with what the edges tell of them."""
    facts: dict[str, dict[str, str]] = {node: {} for node in kinds}
    for row in rows:
        made = facts[row["to_id"]]
        own = facts[row["from_id"]] if row["from_kind"] == "file" else made
        if row["rows"] is not None and row["relation"] not in ("labelled by", "labels of"):
            own["rows"] = f"{row['rows']:,}"
        if row["at"] is not None:
            made["as of" if row["to_kind"] == "window" else "at"] = f"{row['at']:%Y-%m-%d %H:%M}"
        details = {key: value for key, value in row["details"].items() if value}
        if "sha256" in details:
            own["sha256"] = details["sha256"][:_SHORT_DIGEST]
        own |= {key: details[key] for key in ("source_file", "rule", "accuracy") if key in details}
        if row["relation"] == "scored":
            own["model"] = row["from_id"]
    why = {row["to_id"]: row["details"]["why"] for row in rows if row["details"].get("why")}
    return [
        Node(kind, node, 1, facts[node], sql_of(node), why.get(node, ""))
        for node, kind in kinds.items()
    ]


def _is_part(commit: Row, table: str, read: Row) -> bool:
    """Whether a commit is in a table at a version, with rows of the time that was read."""
    name, version = table.split("@")
    if commit["table_name"] != name or commit["version"] > int(version):
        return False
    first, last = commit["first_time"], commit["last_time"]
    is_late = read["rows_from"] is not None and last is not None and last < read["rows_from"]
    is_early = read["rows_to"] is not None and first is not None and first > read["rows_to"]
    return not (is_late or is_early)
