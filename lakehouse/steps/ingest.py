"""From landed files to lines, from lines to typed values and reasons, from those to what becomes of each line."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, StringType, StructField, StructType

from lakehouse.rules import CONFLICT, LineRules
from lakehouse.tables import Table

ACCEPTED = "accepted"
REJECTED = "rejected"
DUPLICATE = "duplicate"
KNOWN = "known"  # silver has this very line already: a replay
_LINEAGE = ("source_file", "line", "landed_at", "ingest_batch", "ingested_at")


def with_lines(files: DataFrame, batch_number: int, ingested_at: dt.datetime) -> DataFrame:
    """One row a line of each file (read whole): raw text and lineage. A file's last line feed opens no line."""
    lines = F.split("value", "\n")
    exploded = files.select(
        F.posexplode(lines).alias("position", "raw"),
        F.size(lines).alias("lines"),
        F.col("_metadata.file_path").alias("source_file"),
        F.col("_metadata.file_modification_time").alias("landed_at"),
    )
    return exploded.where((F.col("position") < F.col("lines") - 1) | (F.col("raw") != "")).select(
        "raw",
        "source_file",
        F.col("position").cast("bigint").alias("line"),
        "landed_at",
        F.lit(batch_number).cast("bigint").alias("ingest_batch"),
        F.lit(ingested_at).alias("ingested_at"),
    )


def with_values_and_reasons(lines: DataFrame, rules: LineRules, silver: Table) -> DataFrame:
    """The lines with the typed columns of `silver` and every rule that each line breaks."""
    names = list(rules.source.columns)
    typed = [field for field in silver.schema if field.name in names]
    raw_fields = [field for field in lines.schema if field.name != "raw"]
    schema = StructType(
        [StructField("raw", BinaryType()), *raw_fields, *typed, StructField("reasons", ArrayType(StringType()))]
    )
    as_bytes = lines.withColumn("raw", F.col("raw").cast("binary"))
    return as_bytes.mapInArrow(_reader(rules), schema).withColumn("raw", F.col("raw").cast("string"))


def _reader(rules: LineRules) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    kinds = {"double": pa.float64(), "long": pa.int64(), "integer": pa.int32(), "boolean": pa.bool_()}
    kinds |= {"string": pa.string(), "timestamp": pa.timestamp("us", "UTC")}

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            landed = batch.column("landed_at").cast(pa.timestamp("us", "UTC")).to_pylist()
            rows = [rules.read(raw, at) for raw, at in zip(batch.column("raw").to_pylist(), landed, strict=True)]
            added = {
                name: pa.array([row.values[name] for row in rows], kinds[column.type])
                for name, column in rules.source.columns.items()
            }
            added["reasons"] = pa.array([row.reasons for row in rows], pa.list_(pa.string()))
            yield pa.RecordBatch.from_arrays([*batch.columns, *added.values()], names=[*batch.schema.names, *added])

    return read


@dataclass(frozen=True)
class Keys:
    """What is known of the keys of a batch's valid rows: their range, how many, how many distinct ones.

    Attributes:
        rejected: rows that are not valid; they have no say in the rest.
    """

    least: Any
    greatest: Any
    count: int
    distinct: int
    rejected: int

    @property
    def are_distinct(self) -> bool:
        """Whether no key comes twice."""
        return self.distinct == self.count


def keys_of(rows: DataFrame, key: str) -> Keys:
    """The keys of the valid rows, in one pass."""
    valid_key = F.when(is_valid(), F.col(key))
    found = rows.agg(
        F.min(valid_key).alias("least"),
        F.max(valid_key).alias("greatest"),
        F.count(valid_key).alias("count"),
        F.count_distinct(valid_key).alias("distinct"),
        F.count_if(~is_valid()).alias("rejected"),
    )
    return Keys(**found.collect()[0].asDict())


def all_accepted(valid: DataFrame) -> DataFrame:
    """The rows as `with_disposition` would give them where no key has come before."""
    return valid.withColumn("disposition", F.lit(ACCEPTED))


def with_disposition(valid: DataFrame, held: DataFrame, key: str, values: list[str]) -> DataFrame:
    """What becomes of each valid row: accepted, rejected, duplicate, or known already.

    The first row of a key wins, in the order of landing, file and line, and what silver holds comes before any. A later
    row of the same values is a duplicate; one of other values is rejected, with that as its reason.

    Args:
        valid: lines that break no rule, with their values.
        held: silver's rows that may share a key with them.
        key: column that names a row.
        values: columns of the line.
    """
    contents, position = F.struct(*values), F.struct("source_file", "line")
    union = valid.unionByName(held.withColumn("held", F.lit(True)), allowMissingColumns=True)
    order: list[Column | str] = [F.col("held").desc_nulls_last(), "landed_at", "source_file", "line"]
    by_key = Window.partitionBy(key).orderBy(*order)
    first = F.first(F.struct(contents.alias("contents"), position.alias("position"))).over(by_key)
    ranked = union.withColumns({"rank": F.row_number().over(by_key), "first": first}).where(F.col("held").isNull())
    disposition = (
        F.when(F.col("rank") == 1, ACCEPTED)
        .when(position == F.col("first.position"), KNOWN)
        .when(contents.eqNullSafe(F.col("first.contents")), DUPLICATE)
        .otherwise(REJECTED)
    )
    conflict = F.array(F.lit(f"{key}: {CONFLICT}"))
    return ranked.select("raw", *values, *_LINEAGE, conflict.alias("reasons"), disposition.alias("disposition"))


def is_valid() -> Column:
    """Whether a line breaks no rule."""
    return F.size("reasons") == 0


def quarantined(rows: DataFrame, judged: DataFrame, source: str) -> DataFrame:
    """The rejected rows, as `silver.quarantine` takes them: those that break a rule, and those that conflict."""
    columns = ["raw", "reasons", *_LINEAGE]
    conflicting = judged.where(F.col("disposition") == REJECTED).select(*columns)
    return rows.where(~is_valid()).select(*columns).unionByName(conflicting).withColumn("source", F.lit(source))


def duplicates(judged: DataFrame, source: str, key: str) -> DataFrame:
    """The repeated rows, as `silver.duplicate` takes them."""
    repeated = judged.where(F.col("disposition") == DUPLICATE)
    return repeated.select(F.lit(source).alias("source"), F.col(key).cast("string").alias("key"), *_LINEAGE)


def accepted(judged: DataFrame) -> DataFrame:
    """The rows that silver takes."""
    return judged.where(F.col("disposition") == ACCEPTED)
