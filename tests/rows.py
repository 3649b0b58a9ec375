"""Builders: rows that fill what a test does not care about, and small models of other shapes."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

UTC = dt.UTC


def rows(spark: SparkSession, schema: StructType, given: Sequence[Mapping[str, Any]]) -> DataFrame:
    """A frame of the schema; a column that a row does not name is null."""
    return spark.createDataFrame([tuple(row.get(name) for name in schema.names) for row in given], schema)


def moment(text: str) -> dt.datetime:
    """A moment in UTC from ISO text."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)


def land(folder: Path, name: str, lines: Sequence[Any], at: dt.datetime) -> Path:
    """Lands lines (text as it is, the rest as JSON) as one file with the modification time `at`."""
    import os

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts))
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path
