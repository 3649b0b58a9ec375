"""Which partitions and keys of a table a look at it needs: predicates that skip files."""

import datetime as dt
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.compute import Expression
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.instants import ARROW_MOMENT

NO_DAY = "window_date IS NULL"
"""Partitions of the rows that belong to no window: baselines."""


def since_day(moment: dt.datetime) -> str:
    """Partitions of windows from the moment's day on, for `Store.rows` and `Store.arrow`."""
    return f"window_date >= '{moment.date()}'"


def on_days(days: Iterable[dt.date]) -> str:
    """Partitions of windows on these days, for `Store.rows` and `Store.arrow`."""
    dates = ", ".join(f"'{day}'" for day in sorted(days))
    return f"window_date IN ({dates})"


def covering_keys_of(rows: DataFrame, key: str) -> Column:
    """Whether a key lies between the rows' least and greatest: literals, so files are skipped."""
    least, greatest = rows.agg(F.min(key), F.max(key)).collect()[0]
    return F.lit(False) if least is None else F.col(key).between(least, greatest)


def since_moment(column: str, moment: dt.datetime | int) -> Expression:
    """Whether a row's time is at a moment or later, for `Store.arrow`.

    No row is lost though a log tells a file's greatest time in milliseconds: `dataset_of` allows
    for it.

    Args:
        column: the time.
        moment: or its microseconds since 1970.
    """
    return pc.field(column) >= pa.scalar(moment, ARROW_MOMENT)


def among_keys(key: str, keys: pa.ChunkedArray) -> Expression:
    """Whether a row has one of these keys, for `Store.arrow`.

    The least and the greatest of them let pyarrow skip files; a set of keys alone does not.

    Args:
        key: the column.
        keys: one at least.
    """
    least, greatest = pc.min_max(keys).as_py().values()
    column = pc.field(key)
    return (column >= least) & (column <= greatest) & column.isin(keys.combine_chunks())
