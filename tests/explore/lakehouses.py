"""Lakehouses of a few rows, written without Spark, whose columns a test chooses."""

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake

from lakehouse.explore.subject import Column, Subject

FIRST = pd.Timestamp("2024-03-01", tz="UTC")
_ARROW = {
    "long": pa.int64(),
    "integer": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_ORIGIN = {"source_file": pa.string(), "line": pa.int64(), "landed_file_id": pa.int64()}
_QUARANTINE = pa.schema(
    [
        ("source", pa.string()),
        ("raw", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("landed_at", pa.timestamp("us", tz="UTC")),
    ]
)
_DUPLICATE = pa.schema([("source", pa.string()), ("landed_at", pa.timestamp("us", tz="UTC"))])


def subject(columns: Iterable[Column], label: Column, **others: Any) -> Subject:
    """A subject with these columns, looked at by its label."""
    return Subject(
        **{
            "name": "works",
            "key": "id",
            "event_time": "at",
            "readings": "silver.reading",
            "labels": "silver.truth",
            "label": label,
            "label_time": "told",
            "horizon": dt.timedelta(days=2),
            "columns": tuple(columns),
            "by": label,
        }
        | others
    )


def write(
    root: Path,
    about: Subject,
    rows: pd.DataFrame,
    labels: pd.DataFrame | None = None,
    rejected: Iterable[Mapping[str, Any]] = (),
    duplicates: Iterable[Mapping[str, Any]] = (),
) -> Path:
    """Write silver's tables.

    Args:
        root: of the lakehouse.
        about: whose tables and columns they are.
        rows: with key, event time and the columns.
        labels: with key, label time and label; none without it.
        rejected: rows of silver.quarantine.
        duplicates: rows of silver.duplicate.
    """
    (root / "_system").mkdir(parents=True, exist_ok=True)
    (root / "_system" / "model").write_text(about.name)
    readings = [Column(about.key, "long"), Column(about.event_time, "timestamp")]
    readings += [column for column in about.all_columns if column != about.label]
    _write(root, about.readings, readings, rows)
    truth = [Column(about.key, "long"), Column(about.label_time, "timestamp"), about.label]
    names = [column.name for column in truth]
    _write(root, about.labels, truth, pd.DataFrame(columns=names) if labels is None else labels)
    write_deltalake(f"{root}/silver/quarantine", pa.Table.from_pylist(list(rejected), _QUARANTINE))
    write_deltalake(f"{root}/silver/duplicate", pa.Table.from_pylist(list(duplicates), _DUPLICATE))
    return root


def _write(root: Path, table: str, columns: list[Column], frame: pd.DataFrame) -> None:
    arrays = {
        column.name: pa.array(list(frame[column.name]), _ARROW[column.type], from_pandas=False)
        for column in columns
    }
    lines = {
        "source_file": pa.array([f"{table}.jsonl"] * len(frame), pa.string()),
        "line": pa.array(np.arange(len(frame)), pa.int64()),
        "landed_file_id": pa.array([1] * len(frame), pa.int64()),
    }
    if table == "silver.truth":
        lines["is_correction"] = pa.array([None] * len(frame), pa.int32())
    write_deltalake(f"{root}/{table.replace('.', '/')}", pa.table(arrays | lines))


def times(n: int, days: float = 20.0) -> pd.Series:
    """`n` moments, evenly over so many days."""
    return FIRST + pd.Series(pd.to_timedelta(np.arange(n) * days / max(n, 1), unit="D"))


def labelled(rows: pd.DataFrame, label: str, values: Iterable[Any], seed: int = 0) -> pd.DataFrame:
    """Labels of rows, a day to two after them."""
    late = pd.to_timedelta(1 + np.random.default_rng(seed).random(len(rows)), unit="D")
    told = (rows["at"] + pd.Series(late)).dt.floor("us")
    return pd.DataFrame({"id": rows["id"], "told": told, label: list(values)})
