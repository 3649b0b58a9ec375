"""Data files of a Delta table, written by tasks; they count once the driver commits them."""

import datetime as dt
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.storage.folders import Folder

_GROUP_ROWS = 2**17
_GROUP_BYTES = 2**25
_LONGEST_BOUND = 256  # characters of a text in the statistics
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True)
class DataFile:
    """A Parquet file in a table's folder.

    Attributes:
        path: its name there.
        size: in bytes.
        rows: how many it has.
        stats: as Delta's log has them, JSON.
    """

    path: str
    size: int
    rows: int
    stats: str


@dataclass(frozen=True)
class Target:
    """A table that files are written for.

    Attributes:
        location: of its folder.
        schema: its own.
        sought_by: columns that statistics are kept of.
    """

    location: str
    schema: pa.Schema
    sought_by: tuple[str, ...]

    def writer(self) -> "DataFileWriter":
        """Of one file of it."""
        return DataFileWriter(Folder(self.location), self.schema, self.sought_by)


class DataFileWriter:
    """Writes one file, if it gets any rows."""

    def __init__(self, folder: Folder, schema: pa.Schema, sought_by: Iterable[str]) -> None:
        """Create nothing yet."""
        self._folder, self._schema = folder, schema
        self._name = f"part-{uuid.uuid4()}.parquet"
        self._bounds = {name: _Bounds() for name in sought_by}
        self._waiting: list[pa.RecordBatch] = []
        self._file: BinaryIO | None = None
        self._writer: pq.ParquetWriter | None = None
        self._rows = 0

    def write(self, columns: dict[str, pa.Array]) -> None:
        """Add rows, in the schema's columns: others are left out, missing ones are null."""
        rows = len(next(iter(columns.values())))
        if not rows:
            return
        arrays = [columns.get(field.name, pa.nulls(rows, field.type)) for field in self._schema]
        batch = pa.record_batch(arrays, schema=self._schema)
        for name, bounds in self._bounds.items():
            bounds.add(batch.column(name))
        self._rows += rows
        self._waiting.append(batch)
        # Memory holds one row group at most.
        if (
            sum(map(len, self._waiting)) >= _GROUP_ROWS
            or sum(block.nbytes for block in self._waiting) >= _GROUP_BYTES
        ):
            self._flush()

    def close(self) -> DataFile | None:
        """The finished file; None where there were no rows."""
        if not self._rows:
            return None
        self._flush()
        assert self._writer is not None and self._file is not None
        self._writer.close()
        size = self._file.tell()
        self._file.close()
        return DataFile(self._name, size, self._rows, self._stats())

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            self._file = self._folder.create(self._name)
            self._writer = pq.ParquetWriter(
                self._file, self._schema, compression="zstd", compression_level=1
            )
        self._writer.write_table(pa.Table.from_batches(self._waiting), row_group_size=_GROUP_ROWS)
        self._waiting = []

    def _stats(self) -> str:
        """Source: Delta transaction protocol, "Per-file Statistics"."""
        bounded = {
            name: bounds for name, bounds in self._bounds.items() if bounds.least is not None
        }
        return json.dumps(
            {
                "numRecords": self._rows,
                "minValues": {name: _lower(bounds.least) for name, bounds in bounded.items()},
                "maxValues": {name: _upper(bounds.greatest) for name, bounds in bounded.items()},
                "nullCount": {name: bounds.nulls for name, bounds in self._bounds.items()},
            }
        )


@dataclass
class _Bounds:
    """The least and the greatest value of a column, and its nulls."""

    least: Any = None
    greatest: Any = None
    nulls: int = 0

    def add(self, column: pa.Array) -> None:
        self.nulls += column.null_count
        ends = pc.min_max(column).as_py()
        if ends["min"] is not None:
            self.least = ends["min"] if self.least is None else min(self.least, ends["min"])
            self.greatest = (
                ends["max"] if self.greatest is None else max(self.greatest, ends["max"])
            )


def _lower(value: Any) -> Any:
    """A bound that is not above the value: texts are cut, times are told to the millisecond."""
    if isinstance(value, dt.datetime):
        return _milliseconds(value)
    return value[:_LONGEST_BOUND] if isinstance(value, str) else value


def _upper(value: Any) -> Any:
    """A bound that is not below the value."""
    if isinstance(value, dt.datetime):
        return _milliseconds(value + dt.timedelta(microseconds=-value.microsecond % 1000))
    if isinstance(value, str) and len(value) > _LONGEST_BOUND:
        return value[:_LONGEST_BOUND] + _LAST_CHARACTER
    return value


def _milliseconds(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
