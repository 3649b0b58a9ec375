"""Silver's valid rows, quarantine and duplicates, made again from bronze's lines."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import functions as F

from lakehouse.errors import RecoveryError
from lakehouse.ingest.landing.runs import LANDED, UNREADABLE, FileRecord
from lakehouse.ingest.pipeline import take_in
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import Batch


@dataclass(frozen=True)
class LinesOfBatch:
    """The files that a micro-batch of ingest has brought to bronze.

    Attributes:
        query_id: of the stream.
        number: of the micro-batch.
        files: ids of its landed files.
        ingested_at: when it was first tried.
    """

    query_id: str
    number: int
    files: frozenset[int]
    ingested_at: dt.datetime


def take_in_again(lakehouse: Lakehouse) -> None:
    """Take in bronze's lines once more, micro-batch by micro-batch, as they were taken in.

    The batches keep their identity: what the stream's checkpoint replays is a part of silver then.

    Raises:
        RecoveryError: lines are of a release that kept no table of landed files.
    """
    rows = lakehouse.store.rows(lakehouse.catalog.landed_file)
    records = sorted(map(FileRecord.from_row, rows), key=lambda each: each.landed_file_id or 0)
    for lines in in_order(_batches(lakehouse)):
        batch = Batch(lines.query_id, lines.number)
        take_in(lakehouse, files_of(lines, records), batch, from_bronze=True)


def in_order(batches: Iterable[LinesOfBatch]) -> list[LinesOfBatch]:
    """The batches as they were tried: stream by stream, each by its numbers.

    >>> at = [dt.datetime(2024, 3, day, tzinfo=dt.UTC) for day in (1, 2, 3)]
    >>> batches = [LinesOfBatch("b", 0, frozenset({1, 2}), at[2]),
    ...            LinesOfBatch("a", 1, frozenset({2}), at[1]),
    ...            LinesOfBatch("a", 0, frozenset({1}), at[0])]
    >>> [(each.query_id, each.number) for each in in_order(batches)]
    [('a', 0), ('a', 1), ('b', 0)]
    """
    every = list(batches)
    began: dict[str, dt.datetime] = {}
    for each in every:
        began[each.query_id] = min(each.ingested_at, began.get(each.query_id, each.ingested_at))
    return sorted(every, key=lambda each: (began[each.query_id], each.query_id, each.number))


def files_of(lines: LinesOfBatch, records: Sequence[FileRecord]) -> list[FileRecord]:
    """The records of a batch's files, with those between them that were lost before they were
    read: runs are cut by all of them.

    Args:
        lines: of the batch.
        records: of all files, by their ids.
    """
    first, last = min(lines.files), max(lines.files)
    lost = {each.landed_file_id for each in records if each.status == UNREADABLE}
    return [
        each
        for each in records
        if each.status == LANDED
        and each.landed_file_id is not None
        and (
            each.landed_file_id in lines.files
            or (each.landed_file_id in lost and first < each.landed_file_id < last)
        )
    ]


def _batches(lakehouse: Lakehouse) -> list[LinesOfBatch]:
    found: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for source in lakehouse.sources:
        grouped = (
            lakehouse.store.read(source.bronze)
            .groupBy("ingest_query", "ingest_batch")
            .agg(
                F.collect_set("landed_file_id").alias("files"),
                F.min("ingested_at").alias("ingested_at"),
                F.count_if(F.col("landed_file_id").isNull()).alias("unnamed"),
            )
        )
        for row in grouped.toArrow().to_pylist():
            if row["unnamed"] or row["ingest_query"] is None:
                raise RecoveryError(
                    f"{source.bronze.full_name} has lines of a release before "
                    "bronze.landed_file, whose order is not on record; put back a copy of silver"
                )
            found.setdefault((row["ingest_query"], row["ingest_batch"]), []).append(row)
    return [
        LinesOfBatch(
            query_id,
            number,
            frozenset(file for row in rows for file in row["files"]),
            min(row["ingested_at"] for row in rows),
        )
        for (query_id, number), rows in found.items()
    ]
