"""What the statistics of a table's files tell: no file is read, and no job starts."""

import datetime as dt
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

STATISTICS_UNIT = dt.timedelta(milliseconds=1)
"""Delta cuts times in statistics to milliseconds."""


def files_of(delta: DeltaTable) -> pa.Table:
    """A row for each file of the table: path, size, and statistics by column."""
    return pa.table(delta.get_add_actions(flatten=True))


def newest_day(delta: DeltaTable) -> dt.date | None:
    """The newest day of a table that is partitioned by `window_date`; None without such rows."""
    days = [partition.get("window_date") for partition in delta.partitions()]
    known = [day for day in days if day]
    return dt.date.fromisoformat(max(known)) if known else None


def key_range(
    files: pa.Table, key: str, time: str, start: dt.datetime, end: dt.datetime
) -> tuple[Any, Any] | None:
    """Bounds on the keys of rows with a time from `start` to `end`.

    Returns:
        The bounds, which may be wider than the keys; None where a file tells none.
    """
    if not {f"min.{time}", f"min.{key}"} <= set(files.column_names):
        return None
    overlap = pc.and_(
        pc.less_equal(files[f"min.{time}"], pa.scalar(end + STATISTICS_UNIT)),
        pc.greater_equal(files[f"max.{time}"], pa.scalar(start - STATISTICS_UNIT)),
    )
    # A file without statistics of the time may hold any.
    near = files.filter(pc.fill_null(overlap, True))
    return span(near, key)


def span(files: pa.Table, column: str) -> tuple[Any, Any] | None:
    """The least and the greatest value of a column; None where there is no file, or one tells
    none. Times are cut to milliseconds.
    """
    if f"min.{column}" not in files.column_names:
        return None
    least, greatest = files[f"min.{column}"], files[f"max.{column}"]
    if least.null_count or greatest.null_count or not len(least):
        return None
    return pc.min(least).as_py(), pc.max(greatest).as_py()


def has_any(files: pa.Table, column: str) -> bool:
    """Return whether any row has a value in the column."""
    name = f"null_count.{column}"
    if name not in files.column_names:
        return False
    return bool(pc.any(pc.less(files[name], files["num_records"]), min_count=0).as_py())


def may_hold(files: pa.Table, key: str, least: object, greatest: object) -> bool:
    """Return whether a file may have a key from `least` to `greatest`."""
    if least is None:
        return False
    if f"min.{key}" not in files.column_names:
        return files.num_rows > 0
    apart = pc.or_(pc.greater(files[f"min.{key}"], greatest), pc.less(files[f"max.{key}"], least))
    return not pc.all(pc.fill_null(apart, False), min_count=0).as_py()
