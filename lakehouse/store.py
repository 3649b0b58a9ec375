"""The Delta tables of one lakehouse: the only place that reads and writes them."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from delta import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from lakehouse.errors import LockedError, StoreError
from lakehouse.tables import Catalog, Table


@dataclass(frozen=True)
class Transaction:
    """Delta's application transaction: a second write under the same id and version is left out, not repeated."""

    app_id: str
    version: int


@dataclass(frozen=True)
class Store:
    """The tables under `<root>/<layer>/<table>`, and what belongs to the system under `<root>/_system`."""

    spark: SparkSession
    root: str
    catalog: Catalog

    def path(self, table: Table) -> str:
        """Where the table lies."""
        return f"{self.root}/{table.layer}/{table.name}"

    def checkpoint(self, query: str) -> str:
        """Where the streaming query of that name keeps its checkpoint."""
        return f"{self.root}/_system/checkpoints/{query}"

    def create_missing(self) -> None:
        """Creates the tables that are not there yet.

        Raises:
            StoreError: a table that is there lacks a declared column, or has it in another type.
        """
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._create_or_check, self.catalog.tables))

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """The table, now or as it was at a Delta version."""
        reader = self.spark.read.format("delta")
        return (reader if version is None else reader.option("versionAsOf", version)).load(self.path(table))

    def read_stream(self, table: Table) -> DataFrame:
        """The table's appends, as a stream."""
        return self.spark.readStream.format("delta").load(self.path(table))

    def version(self, table: Table) -> int:
        """The newest Delta version of the table."""
        jvm: Any = self.spark._jvm
        log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self.spark._jsparkSession, self.path(table))
        nothing = jvm.scala.Option.apply(None)
        return int(log.update(False, nothing, nothing).version())

    def versions(self, *tables: Table) -> dict[str, int]:
        """The newest Delta version of each table, by its full name."""
        return {table.full_name: self.version(table) for table in tables}

    def frame(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> DataFrame:
        """Rows of the table made on the driver; a column that a row does not have is null."""
        schema = to_arrow_schema(table.schema, timezone="UTC")
        return self.spark.createDataFrame(pa.Table.from_pylist(list(rows), schema))

    def append(self, rows: DataFrame, table: Table, transaction: Transaction | None = None) -> None:
        """Appends rows, once for each transaction however often it is tried."""
        writer = _conformed(rows, table).write.format("delta").mode("append")
        if transaction:
            writer = writer.option("txnAppId", transaction.app_id).option("txnVersion", transaction.version)
        writer.save(self.path(table))

    def overwrite_partitions(self, rows: DataFrame, table: Table) -> None:
        """Puts `rows` in the place of all that their partitions held, in one commit; other partitions stay."""
        writer = _conformed(rows, table).write.format("delta").mode("overwrite")
        writer.option("partitionOverwriteMode", "dynamic").save(self.path(table))

    @contextmanager
    def writing(self, *tables: Table) -> Iterator[None]:
        """Holds the right to write these tables: one process at a time.

        Delta's log on a local disk has no put-if-absent between processes, and a streaming checkpoint has one owner.

        Raises:
            LockedError: another process holds it; nothing has been touched.
        """
        with ExitStack() as held:
            for table in sorted(tables, key=lambda each: each.full_name):
                held.enter_context(self._lock(table))
            yield

    @contextmanager
    def _lock(self, table: Table) -> Iterator[None]:
        path = self._lock_folder() / f"{table.full_name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise LockedError(
                    f"{table.full_name} of {self.root} is being written by another process; let it end, or stop it"
                ) from None
            yield

    def _lock_folder(self) -> Path:
        if "://" not in self.root:
            return Path(self.root) / "_system" / "locks"
        digest = hashlib.sha256(self.root.encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"lakehouse-locks-{os.getuid()}" / digest

    def _create_or_check(self, table: Table) -> None:
        if DeltaTable.isDeltaTable(self.spark, self.path(table)):
            return self._check(table)
        builder = DeltaTable.createIfNotExists(self.spark).location(self.path(table)).addColumns(table.schema)
        for key, value in table.properties.items():
            builder = builder.property(key, value)
        builder.comment(table.grain).partitionedBy(*table.partition_by).execute()
        return None

    def _check(self, table: Table) -> None:
        found = {field.name: field.dataType.simpleString() for field in self.read(table).schema}
        wrong = [
            f"{field.name} is {found.get(field.name, 'missing')}, declared {field.dataType.simpleString()}"
            for field in table.schema
            if found.get(field.name) != field.dataType.simpleString()
        ]
        if wrong:
            raise StoreError(
                f"{table.full_name} is not as declared: {'; '.join(wrong)}; take another root, or migrate it"
            )


def _conformed(rows: DataFrame, table: Table) -> DataFrame:
    """The declared columns in the declared order.

    Raises:
        StoreError: columns are missing or of another type; all of them are named.
    """
    found = {field.name: field.dataType.simpleString() for field in rows.schema}
    wrong = [
        f"{field.name} is {found.get(field.name, 'missing')} instead of {field.dataType.simpleString()}"
        for field in table.schema
        if found.get(field.name) != field.dataType.simpleString()
    ]
    if wrong:
        raise StoreError(f"rows for {table.full_name}: {'; '.join(wrong)}")
    return rows.select(*table.schema.names)


def between_extremes(rows: DataFrame, key: str) -> Column:
    """Whether a key lies between the least and the greatest of the rows: literals, by which Delta skips files."""
    least, greatest = rows.agg(F.min(key), F.max(key)).collect()[0]
    return F.lit(False) if least is None else F.col(key).between(least, greatest)


def any_of(column: str, values: Iterable[object], kind: str) -> str:
    """A predicate that selects literal values: `column IN (DATE '2019-07-01', ...)`."""
    literals = ", ".join(f"{kind} '{value}'" for value in values)
    return f"{column} IN ({literals})"
