"""Tables of a lakehouse that is not opened: read without Spark, creating nothing."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pyarrow.compute import Expression

from lakehouse.errors import StoreError
from lakehouse.storage.delta.dataset import dataset_of
from lakehouse.storage.delta.file_statistics import files_of, newest_day, span
from lakehouse.storage.delta.opened import open_table
from lakehouse.storage.table_state import TableState


@dataclass(frozen=True)
class Snapshot:
    """The tables under `<root>/<layer>/<table>`; each keeps the version of its first look."""

    root: str
    _opened: dict[str, DeltaTable] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def has(self, name: str) -> bool:
        """Return whether there is such a table (`layer.table`)."""
        return DeltaTable.is_deltatable(self.path(name))

    def version(self, name: str) -> int:
        """The Delta version of a table."""
        return self._delta(name).version()

    def state(self, name: str) -> TableState:
        """Version, files, rows and bytes of a table."""
        delta = self._delta(name)
        files = files_of(delta)
        counts = files["num_records"].to_pylist()
        return TableState(
            name=name,
            version=delta.version(),
            files=len(files),
            rows=None if None in counts else sum(counts),
            size=sum(files["size_bytes"].to_pylist()),
        )

    def files(self, name: str) -> frozenset[str]:
        """The paths of the data files that make up a table, as its log has them.

        Raises:
            StoreError: the table cannot be opened.
        """
        try:
            return frozenset(files_of(self._delta(name))["path"].to_pylist())
        except DeltaError as error:
            raise StoreError(f"{name} cannot be opened: {error}") from error

    def rows_at(self, name: str, version: int) -> int:
        """How many rows a table had at a Delta version, by its files.

        Raises:
            StoreError: that version is gone.
        """
        try:
            dataset = dataset_of(open_table(self.path(name), name, version))
            return int(dataset.count_rows(use_threads=False))
        except (DeltaError, OSError, pa.ArrowException) as error:
            why = str(error).splitlines()[0]
            raise StoreError(f"it cannot be read any more: {why}") from error

    def columns(self, name: str) -> list[str]:
        """The columns of a table on disk."""
        return [column.name for column in self._delta(name).schema().fields]

    def types(self, name: str) -> dict[str, str]:
        """Delta's word for the type of each column of a table on disk; `array` for any array."""
        fields = self._delta(name).schema().fields
        return {each.name: str(getattr(each.type, "type", each.type)) for each in fields}

    def file_uris(self, name: str) -> list[str]:
        """The Parquet files that make up a table, in the order of their names."""
        return sorted(self._delta(name).file_uris())

    def span(self, name: str, column: str) -> tuple[Any, Any] | None:
        """`file_statistics.span` of a table."""
        return span(files_of(self._delta(name)), column)

    def newest_day(self, name: str) -> dt.date | None:
        """The newest day of windows that a table has, by its partitions."""
        return newest_day(self._delta(name))

    def arrow(
        self,
        name: str,
        columns: Mapping[str, Expression] | None = None,
        partitions: str | None = None,
        where: Expression | None = None,
    ) -> pa.Table:
        """A part of a table.

        Args:
            name: `layer.table`.
            columns: expressions by the name they get; all columns without it.
            partitions: an SQL predicate on the partition columns; other files are not opened.
            where: which rows.
        """
        dataset = dataset_of(self._delta(name), partitions)
        # Threads of pyarrow that have called delta-rs abort the process at its end.
        wanted = None if columns is None else dict(columns)
        return dataset.to_table(wanted, where, use_threads=False)

    def path(self, name: str) -> str:
        """The path of a table (`layer.table`)."""
        layer, _, table = name.partition(".")
        return str(Path(self.root) / layer / table)

    def _delta(self, name: str) -> DeltaTable:
        if name not in self._opened:
            self._opened[name] = open_table(self.path(name), name)
        return self._opened[name]
