"""The rows of a lakehouse that is not opened, as DuckDB reads their Parquet files.

Delta's log says which files there are; DuckDB scans them, with what it cannot hold in a folder that
goes with the block. Nothing is written into the lakehouse, and no Spark is started.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from lakehouse.dashboard.rows import Answer
from lakehouse.explore.bins import literal, quoted
from lakehouse.explore.queries import OnDisk, Plan, sources, whole
from lakehouse.explore.subject import Column, Subject
from lakehouse.storage.snapshot import Snapshot
from lakehouse.tables import IS_CORRECTION

MEMORY = "1500MB"
"""What DuckDB may hold; beyond, it writes to its folder."""
_SETTINGS = f"""
SET autoinstall_known_extensions = false; SET enable_progress_bar = false;
SET TimeZone = 'UTC'; SET memory_limit = '{MEMORY}';
"""
_SQL_OF = {
    "long": "BIGINT",
    "integer": "INTEGER",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "string": "VARCHAR",
    "timestamp": "TIMESTAMPTZ",
    "binary": "BLOB",
}
_BATCH = 1_000_000


@dataclass(frozen=True)
class Reader:
    """Asks a lakehouse's tables.

    Attributes:
        connection: of DuckDB, which knows the tables as `layer.table`.
        snapshot: the versions that are read.
    """

    connection: duckdb.DuckDBPyConnection
    snapshot: Snapshot

    def know(self, *names: str) -> None:
        """Make tables (`layer.table`) known; one that is not there is empty."""
        for name in names:
            self.connection.execute(f"CREATE OR REPLACE VIEW {name} AS {self._scan(name)}")

    def on_disk(self, subject: Subject) -> OnDisk:
        """What the readings' and the labels' table hold; both become known."""
        self.know(subject.readings, subject.labels)
        readings, labels = (self._columns(name) for name in (subject.readings, subject.labels))
        corrected = False
        if IS_CORRECTION in labels:
            sql = f"SELECT COUNT({IS_CORRECTION}) FROM {subject.labels}"
            corrected = self.value(sql) > 0
        return OnDisk(readings, labels, corrected)

    def prepare(self, plan: Plan) -> None:
        """Make the sources of a plan: views, and where bins are known the table of codes."""
        for name, sql in sources(plan).items():
            kind = "TABLE" if name == "coded" else "VIEW"
            self.connection.execute(f"CREATE OR REPLACE {kind} {name} AS {sql}")

    def answer(self, plan: Plan, sql: str, columns: Sequence[Column] = ()) -> Answer:
        """The rows of a query, and the statement that gives them to whoever asks the tables.

        Args:
            plan: whose sources it reads from.
            sql: the query.
            columns: that it asks for.
        """
        rows = self.arrow(sql)
        return Answer(whole(plan, sql, columns), tuple(rows.column_names), tuple(rows.to_pylist()))

    def arrow(self, sql: str) -> pa.Table:
        """The rows of a query."""
        return self.connection.execute(sql).fetch_arrow_table()

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The rows of a query, so many at a time."""
        yield from self.connection.execute(sql).fetch_record_batch(_BATCH)

    def value(self, sql: str) -> int:
        """The whole number that a query gives."""
        return int(self.connection.execute(sql).fetchall()[0][0])

    def _columns(self, name: str) -> list[str]:
        return self.snapshot.columns(name) if self.snapshot.has(name) else []

    def _scan(self, name: str) -> str:
        if not self.snapshot.has(name):
            return _without_rows({})
        types = self.snapshot.types(name)
        files = self.snapshot.file_uris(name)
        if not files:
            return _without_rows(types)
        listed = ", ".join(literal(file) for file in files)
        scan = f"read_parquet([{listed}], union_by_name = true)"
        there = {row[0] for row in self.connection.execute(f"DESCRIBE FROM {scan}").fetchall()}
        columns = (
            quoted(column) if column in there else f"NULL::{_sql_type(kind)} AS {quoted(column)}"
            for column, kind in types.items()
        )
        return f"SELECT {', '.join(columns)} FROM {scan}"


@contextmanager
def opened(root: Path) -> Iterator[Reader]:
    """A reader of the lakehouse under a root, until the block ends."""
    with (
        tempfile.TemporaryDirectory(prefix="explore-") as folder,
        duckdb.connect(str(Path(folder) / "explore.duckdb")) as connection,
    ):
        connection.execute(_SETTINGS)
        for layer in ("bronze", "silver", "gold"):
            connection.execute(f"CREATE SCHEMA {layer}")
        yield Reader(connection, Snapshot(str(root.resolve())))


def _without_rows(types: dict[str, str]) -> str:
    columns = [f"NULL::{_sql_type(kind)} AS {quoted(name)}" for name, kind in types.items()]
    return f"SELECT {', '.join(columns) or 'NULL AS nothing'} WHERE FALSE"


def _sql_type(kind: str) -> str:
    return _SQL_OF.get(kind, "VARCHAR[]" if kind == "array" else "VARCHAR")
