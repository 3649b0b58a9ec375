"""The glassware stream as a PySpark data source: `.format("glassware")`."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    DataSourceStreamReader,
    InputPartition,
)
from pyspark.sql.streaming.datasource import (
    ReadAllAvailable,
    ReadLimit,
    ReadMaxRows,
    SupportsTriggerAvailableNow,
)
from pyspark.sql.types import StructType

from lakehouse.errors import ConfigurationError
from lakehouse.glassware.pieces import Stream

SCHEMAS = {
    "readings": "pid BIGINT, process_time TIMESTAMP, temp DOUBLE, pressure DOUBLE, duration DOUBLE",
    "labels": "pid BIGINT, qualitycheck_time TIMESTAMP, quality INT",
}
DEFAULT_ROWS_PER_PARTITION = 500_000
# Bounds a worker's memory, whatever the size of its partition.
_ROWS_PER_ARROW_BATCH = 50_000

Offset = dict[str, int]


@dataclass(frozen=True)
class SourceOptions:
    """What the options of a read say.

    Attributes:
        stream: from `scenario`, `seed`, `pieces` and `period` (seconds).
        kind: `readings` or `labels`.
        rows_per_batch: the most rows of one micro-batch; None for all there are. No effect on a
            batch read.
        rows_per_partition: the most rows of one Spark task.
    """

    stream: Stream
    kind: str = "readings"
    rows_per_batch: int | None = None
    rows_per_partition: int = DEFAULT_ROWS_PER_PARTITION


@dataclass
class IdRange(InputPartition):
    """The pieces that one Spark task makes, both ends included."""

    first_id: int
    last_id: int


class GlasswareDataSource(DataSource):
    """Made-up readings or labels, the same for the same options on every read; see `SourceOptions`.

    Register with `spark.dataSource.register(GlasswareDataSource)`. Workers and driver need this
    package installed.

    Raises:
        ConfigurationError: an option is unknown or impossible; Spark shows the message within its
        own.
    """

    def __init__(self, options: MutableMapping[str, str]) -> None:
        self.settings = parse_options(options)

    @classmethod
    def name(cls) -> str:
        """Return what stands in `.format(...)`."""
        return "glassware"

    def schema(self) -> str:
        """The columns of the kind that is read."""
        return SCHEMAS[self.settings.kind]

    def reader(self, schema: StructType) -> DataSourceReader:
        """Read all pieces once."""
        return GlasswareReader(self.settings)

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        """Read pieces by and by; an offset is the id of the last piece read."""
        return GlasswareStreamReader(self.settings)


class GlasswareReader(DataSourceReader):
    """All pieces at once, split by ranges of ids."""

    def __init__(self, settings: SourceOptions) -> None:
        self.settings = settings

    def partitions(self) -> Sequence[InputPartition]:
        """A range of ids per task."""
        return split(1, self.settings.stream.pieces, self.settings.rows_per_partition)

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of one range."""
        return record_batches(self.settings, partition)


class GlasswareStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Pieces in the order of their ids, `rows_per_batch` at a time, available from the start.

    Nothing is kept outside the query's checkpoint, so any micro-batch can be read again, with the
    same rows.
    """

    def __init__(self, settings: SourceOptions) -> None:
        self.settings = settings

    def initialOffset(self) -> Offset:
        """Nothing is read yet."""
        return {"last_id": 0}

    def getDefaultReadLimit(self) -> ReadLimit:
        """Return what `rows_per_batch` says."""
        rows = self.settings.rows_per_batch
        return ReadAllAvailable() if rows is None else ReadMaxRows(rows)

    def latestOffset(self, start: Offset, limit: ReadLimit) -> Offset:
        """The end of the next micro-batch; `start` itself where all pieces are read."""
        available = max(start["last_id"], self.settings.stream.pieces)
        if isinstance(limit, ReadMaxRows):
            available = min(available, start["last_id"] + limit.max_rows)
        return {"last_id": available}

    def prepareForTriggerAvailableNow(self) -> None:
        """Nothing to record: no piece is ever added while a query runs."""

    def reportLatestOffset(self) -> Offset:
        """The last piece that there is."""
        return {"last_id": self.settings.stream.pieces}

    def partitions(self, start: Offset, end: Offset) -> Sequence[InputPartition]:
        """A range of ids per task."""
        return split(start["last_id"] + 1, end["last_id"], self.settings.rows_per_partition)

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of one range."""
        return record_batches(self.settings, partition)


def split(first_id: int, last_id: int, rows: int) -> list[IdRange]:
    """The ids `first_id`–`last_id` in ranges of at most `rows`; none if the span is empty."""
    return [
        IdRange(first, min(first + rows - 1, last_id))
        for first in range(first_id, last_id + 1, rows)
    ]


def record_batches(settings: SourceOptions, partition: InputPartition) -> Iterator[pa.RecordBatch]:
    """The rows of one range of ids as Arrow batches of bounded size."""
    assert isinstance(partition, IdRange)
    make = settings.stream.readings if settings.kind == "readings" else settings.stream.labels
    for part in split(partition.first_id, partition.last_id, _ROWS_PER_ARROW_BATCH):
        yield from make(part.first_id, part.last_id).to_batches()


def parse_options(options: Mapping[str, str]) -> SourceOptions:
    """The options of a read, checked.

    Raises:
        ConfigurationError: an option is unknown, not a number, or out of range.
    """
    unknown = sorted(key for key in options if key not in _PARSERS)
    if unknown:
        raise ConfigurationError(
            f"{', '.join(unknown)}: no such option; the glassware source knows "
            f"{', '.join(_PARSERS)}"
        )
    values = {key: _parsed(key, text) for key, text in options.items()}
    stream = Stream(
        **{
            key: values.pop(key)
            for key in ("scenario", "seed", "pieces", "period")
            if key in values
        }
    )
    return SourceOptions(stream, **values)


def _parsed(key: str, text: str) -> Any:
    try:
        return _PARSERS[key](text)
    except ValueError as error:
        raise ConfigurationError(f"{key}: {text!r} is impossible; {error}") from error


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError("write a whole number from 1 on")
    return int(text)


def _kind(text: str) -> str:
    if text not in SCHEMAS:
        raise ValueError(f"write {' or '.join(SCHEMAS)}")
    return text


_PARSERS: dict[str, Callable[[str], Any]] = {
    "scenario": str,
    "seed": int,
    "pieces": _count,
    "period": float,
    "kind": _kind,
    "rows_per_batch": _count,
    "rows_per_partition": _count,
}
