"""The Delta tables of one lakehouse: the only place that reads and writes them.

Spark writes what is a stream. Small tables whose rows are made on the driver are written there, by
delta-rs: the same tables, without the planning of a Spark job for a handful of rows.
"""

import datetime as dt
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake import Transaction as DeltaTransaction
from deltalake.transaction import AddAction
from pyarrow.compute import Expression
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from lakehouse.errors import StoreError
from lakehouse.storage.batch_reports import BatchReport
from lakehouse.storage.delta import file_statistics, small_files
from lakehouse.storage.delta.checksums import write_checksum
from lakehouse.storage.delta.data_files import DataFile, Target
from lakehouse.storage.delta.dataset import dataset_of
from lakehouse.storage.delta.declared_tables import added_columns, check_columns, create, migrate
from lakehouse.storage.delta.leases import check_leases
from lakehouse.storage.delta.locks import exclusive, not_copied
from lakehouse.storage.delta.opened import OpenTables, open_table
from lakehouse.storage.folders import Folder
from lakehouse.tables import Catalog, Table

Row = Mapping[str, Any]
_MOST_REPORTS = 10_000  # more are kept by nobody: a recorder takes them each minute


@dataclass(frozen=True)
class Transaction:
    """Delta's application transaction: of two writes with one id and version, one counts."""

    app_id: str
    version: int


@dataclass(frozen=True)
class Store:
    """The tables under `<root>/<layer>/<table>`, and system files under `<root>/_system`.

    Attributes:
        reports: micro-batches that ended and are not on record yet.
    """

    spark: SparkSession
    root: str
    catalog: Catalog
    reports: deque[BatchReport] = field(
        default_factory=lambda: deque(maxlen=_MOST_REPORTS), init=False, repr=False, compare=False
    )
    _opened: OpenTables = field(default_factory=OpenTables, init=False, repr=False, compare=False)

    def path(self, table: Table) -> str:
        """Return the path of a table."""
        return table.path_in(self.root)

    def checkpoint(self, query: str) -> str:
        """Return the path of a streaming query's checkpoint."""
        return f"{self.root}/_system/checkpoints/{query}"

    def create_missing(self) -> None:
        """Create missing tables, and add the columns that an older release did not know.

        Raises:
            StoreError: a table differs by more than columns to add; all differences are named.
            LockedError: columns are to be added while another process writes the table.
        """
        for table in self.catalog.tables:
            if DeltaTable.is_deltatable(self.path(table)):
                self._migrate(table)
            else:
                # A table that was deleted meanwhile must not be read from an old log.
                self._opened.forget(self.path(table))
                create(table, self.path(table))

    def columns(self, table: Table) -> list[str]:
        """The columns that the table on disk has, those that the settings once named among them."""
        return [field.name for field in self._delta(table).schema().fields]

    def version(self, table: Table) -> int:
        """The newest Delta version of the table."""
        return self._delta(table).version()

    def table_id(self, table: Table) -> str:
        """What Delta calls the table, whatever its path."""
        return str(self._opened.known(self.path(table), table.full_name).metadata().id)

    def versions(self, *tables: Table) -> dict[str, int]:
        """The newest Delta version of each table, by its full name."""
        return {table.full_name: self.version(table) for table in tables}

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """The table as a Spark frame, now or as it was at a Delta version."""
        reader = self.spark.read.format("delta")
        return (reader if version is None else reader.option("versionAsOf", version)).load(
            self.path(table)
        )

    def read_stream(self, table: Table, options: Mapping[str, str] | None = None) -> DataFrame:
        """The table's appends, as a stream; `options` are those of Delta's source."""
        return (
            self.spark.readStream.format("delta").options(**(options or {})).load(self.path(table))
        )

    def key_range(
        self, table: Table, key: str, time: str, start: dt.datetime, end: dt.datetime
    ) -> tuple[Any, Any] | None:
        """`file_statistics.key_range` of the table; starts no job."""
        return file_statistics.key_range(self._files(table), key, time, start, end)

    def has_any(self, table: Table, column: str) -> bool:
        """`file_statistics.has_any` of the table; starts no job."""
        return file_statistics.has_any(self._files(table), column)

    def may_hold(self, table: Table, key: str, least: object, greatest: object) -> bool:
        """`file_statistics.may_hold` of the table; starts no job."""
        return file_statistics.may_hold(self._files(table), key, least, greatest)

    def span(self, table: Table, column: str) -> tuple[Any, Any] | None:
        """`file_statistics.span` of the table; starts no job."""
        return file_statistics.span(self._files(table), column)

    def _files(self, table: Table) -> pa.Table:
        return file_statistics.files_of(self._delta(table))

    def append(self, rows: DataFrame, table: Table, transaction: Transaction) -> None:
        """Append a Spark frame, once for each transaction however often it is tried."""
        check_columns(rows.schema, table)
        # Columns that the settings once named are still written, where rows have them.
        others = self.columns(table) if table.takes_columns else []
        names = dict.fromkeys([*table.schema.names, *others])
        writer = rows.select(*(name for name in names if name in rows.columns)).write
        once: dict[str, Any] = {"txnAppId": transaction.app_id, "txnVersion": transaction.version}
        with self._committing():
            writer.format("delta").mode("append").options(**once).save(self.path(table))

    def target(self, table: Table) -> Target:
        """The table, for tasks that write files of it."""
        return Target(
            self.path(table), to_arrow_schema(table.schema, timezone="UTC"), table.sought_by
        )

    def commit(
        self, files: Iterable[DataFile | None], table: Table, transaction: Transaction
    ) -> None:
        """Add files that tasks wrote to the table, once per transaction; None is no file."""
        delta, made_at = self._delta(table), int(time.time() * 1000)
        added = [
            AddAction(file.path, file.size, {}, made_at, True, file.stats) for file in files if file
        ]
        # delta-rs records a transaction, but leaves out no second write by itself.
        if not added or self.has(transaction, table):
            return
        once = _once(transaction)
        with self._committing_here(table):
            delta.create_write_transaction(added, "append", delta.schema(), commit_properties=once)
        self._compact(table)

    def discard(self, files: Iterable[DataFile | None], table: Table) -> None:
        """Remove files that tasks wrote for the table and that it is not to have."""
        folder = Folder(self.path(table))
        for file in filter(None, files):
            folder.delete(file.path)

    def has(self, transaction: Transaction, table: Table) -> bool:
        """Return whether the table has that transaction, or a later one of its id."""
        written = self.reached(table, [transaction.app_id])[transaction.app_id]
        return written is not None and written >= transaction.version

    def reached(self, table: Table, app_ids: Iterable[str]) -> dict[str, int | None]:
        """The newest version of the table's transactions of each id; None where it has none."""
        delta = self._delta(table)
        return {app_id: delta.transaction_version(app_id) for app_id in app_ids}

    def rows(
        self,
        table: Table,
        where: Expression | None = None,
        columns: Sequence[str] | None = None,
        partitions: str | None = None,
    ) -> list[Row]:
        """Rows of a table that is written from the driver; for the arguments see `arrow`."""
        return self.arrow(
            table, where, None if columns is None else list(columns), partitions
        ).to_pylist()

    def arrow(
        self,
        table: Table,
        where: Expression | None = None,
        columns: list[str] | dict[str, Expression] | None = None,
        partitions: str | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """A table, or a part of it, without Spark: for what is small.

        Args:
            table: which one.
            where: which rows; files are skipped by partition and statistics.
            columns: which columns or expressions; all columns without it.
            partitions: an SQL predicate on the partition columns alone, such as `since_day`,
                `on_days` and `NO_DAY` give. Other files are not even listed, so that a look at a
                few days costs the same however many the table has.
            version: of the Delta table; now without it.
        """
        delta = (
            self._delta(table)
            if version is None
            else open_table(self.path(table), table.full_name, version)
        )
        dataset = dataset_of(delta, partitions)
        # Threads of pyarrow that have called delta-rs abort the process at its end.
        return dataset.to_table(columns, where, use_threads=False)

    def count(self, table: Table, where: Expression | None = None) -> int:
        """Return how many rows of a table the expression holds for; without Spark."""
        return int(dataset_of(self._delta(table)).count_rows(where, use_threads=False))

    def days(self, table: Table) -> frozenset[dt.date]:
        """The days of windows that the table has, by its partitions."""
        days = [partition["window_date"] for partition in self._delta(table).partitions()]
        return frozenset(dt.date.fromisoformat(day) for day in days if day)

    def rows_appended(self, table: Table) -> int:
        """Return how many rows the newest write to the table added; 0 where there was none."""
        return int(self._newest_write(table).get("operationMetrics", {}).get("numOutputRows", 0))

    def why_written(self, table: Table) -> str:
        """Return the `why` of the newest `replace_partitions`; empty where there was none."""
        return str(self._newest_write(table).get("userMetadata", ""))

    def _newest_write(self, table: Table) -> dict[str, Any]:
        """The newest commit's information; a compaction is no write."""
        commits = self._delta(table).history(2)
        return next((commit for commit in commits if commit["operation"] != "OPTIMIZE"), {})

    def batches(
        self, table: Table, where: Expression, columns: list[str]
    ) -> Iterator[pa.RecordBatch]:
        """A part of a table, batch by batch in file order: it need not fit in memory."""
        dataset = dataset_of(self._delta(table))
        yield from dataset.scanner(columns=columns, filter=where, use_threads=False).to_batches()

    def contents(self, files: Iterable[DataFile | None], table: Table) -> Iterator[pa.RecordBatch]:
        """The rows of files that are not a part of the table yet, in their order."""
        folder = Folder(self.path(table))
        for data_file in filter(None, files):
            with folder.open(data_file.path) as file:
                yield from pq.ParquetFile(file).iter_batches()

    def append_rows(self, rows: Sequence[Row], table: Table, *transactions: Transaction) -> None:
        """Append rows to a table that is written from the driver; what a row lacks is null."""
        if transactions:
            self.append_arrow(_as_arrow(rows, table), table, *transactions)
        else:
            with self._committing_here(table):
                write_deltalake(self._delta(table), _as_arrow(rows, table), mode="append")
            self._compact(table)

    def append_arrow(self, rows: pa.Table, table: Table, *transactions: Transaction) -> None:
        """Append rows, once for the transactions that they are of; columns unknown to the table are
        left out, and columns that the rows lack are null.
        """
        if not len(rows) or all(self.has(each, table) for each in transactions):
            return
        columns = rows.select([name for name in table.schema.names if name in rows.column_names])
        once = _once(*transactions)
        with self._committing_here(table):
            write_deltalake(
                self._delta(table),
                columns,
                mode="append",
                schema_mode=_merged(table),
                commit_properties=once,
            )
        self._compact(table)

    def replace_partitions(self, rows: Sequence[Row], table: Table, why: str = "") -> None:
        """Overwrite all partitions that the rows are in, in one commit; others stay.

        `why` is the commit's user metadata in the table's history.

        Raises:
            StoreError: there are no rows, so nothing says which partitions are meant.
        """
        if not rows:
            raise StoreError(
                f"{table.full_name}: no rows, so no partitions to replace; leave the call out"
            )
        terms = {
            " AND ".join(_is_value(name, row.get(name)) for name in table.partition_by)
            for row in rows
        }
        where = " OR ".join(f"({term})" for term in sorted(terms))
        history = CommitProperties(custom_metadata={"userMetadata": why})
        with self._committing_here(table):
            write_deltalake(
                self._delta(table),
                _as_arrow(rows, table),
                mode="overwrite",
                predicate=where,
                schema_mode=_merged(table),
                commit_properties=history,
            )

    @contextmanager
    def writing(self, *tables: Table) -> Iterator[None]:
        """Hold the right to write these tables: one process at a time.

        Delta's log on a local disk has no put-if-absent between processes, and a streaming
        checkpoint has one owner.

        Raises:
            LockedError: another process holds it; nothing has been touched.
        """
        with ExitStack() as held:
            # In one order: of two processes that want the same tables, one gets them all.
            for table in sorted(tables, key=lambda table: table.full_name):
                held.enter_context(exclusive(self.root, table.full_name))
            yield

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """Commit to a table, if this process still may, while nobody takes stock for a copy."""
        check_leases(self.root)
        with not_copied(self.root):
            yield

    @contextmanager
    def _committing_here(self, table: Table) -> Iterator[None]:
        """The same for a commit by delta-rs, which leaves Delta's checksum to us."""
        with self._committing():
            yield
            write_checksum(self.path(table), self.version(table))

    def _delta(self, table: Table) -> DeltaTable:
        return self._opened.now(self.path(table), table.full_name)

    def _compact(self, table: Table) -> None:
        """Gather the small files of a table that grows by one a commit; partitions are written
        whole. The caller holds the right to write the table.
        """
        if not table.partition_by:
            with self._committing():
                if small_files.gather(self._delta(table)):
                    write_checksum(self.path(table), self.version(table))

    def _migrate(self, table: Table) -> None:
        path = self.path(table)
        if added_columns(table, path) is None:
            return
        with self.writing(table):
            added = added_columns(table, path)  # another process may have been faster
            if added is not None:
                migrate(self.spark, table, path, added)


def _once(*transactions: Transaction) -> CommitProperties:
    """The transactions as delta-rs takes them."""
    return CommitProperties(
        app_transactions=[DeltaTransaction(each.app_id, each.version) for each in transactions]
    )


def _merged(table: Table) -> Any:
    """How delta-rs takes rows of a table whose columns the settings name: those that are not
    declared any more become null.
    """
    return "merge" if table.takes_columns else None


def _is_value(name: str, value: object) -> str:
    return f"{name} IS NULL" if value is None else f"{name} = '{value}'"


def _as_arrow(rows: Sequence[Row], table: Table) -> pa.Table:
    return pa.Table.from_pylist(list(rows), to_arrow_schema(table.schema, timezone="UTC"))
