"""Which partitions and keys of a table a look at it needs: predicates that skip files."""

import datetime as dt
from collections.abc import Iterable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

NO_DAY = "window_date IS NULL"
"""Partitions of the rows that belong to no window: baselines."""


def since_day(moment: dt.datetime) -> str:
    """Partitions of the windows that start on the moment's day or later, for `Store.rows` and
    `Store.arrow`.
    """
    return f"window_date >= '{moment.date()}'"


def on_days(days: Iterable[dt.date]) -> str:
    """Partitions of the windows that start on one of the days, for `Store.rows` and
    `Store.arrow`.
    """
    dates = ", ".join(f"'{day}'" for day in sorted(days))
    return f"window_date IN ({dates})"


def covering_keys_of(rows: DataFrame, key: str) -> Column:
    """Return whether a key lies between the least and the greatest of the rows: literals, by which
    Delta skips files.
    """
    least, greatest = rows.agg(F.min(key), F.max(key)).collect()[0]
    return F.lit(False) if least is None else F.col(key).between(least, greatest)
