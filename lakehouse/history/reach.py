"""What features look at: which columns, and how far back."""

from collections.abc import Hashable
from datetime import timedelta

from lakehouse.settings import HistorySettings

FILE = "landed_file_id"
LINE = (FILE, "line")
"""Columns that order all lines by their landing."""
Group = Hashable | None


def columns_read(settings: HistorySettings, time: str, table: str | None = None) -> list[str]:
    """The columns of a table (None: the readings) that features are computed from."""
    group = settings.group_of(table)
    names = [time, *([] if group is None else [group]), *seen_columns(settings, table), *LINE]
    return list(dict.fromkeys(names))


def seen_columns(settings: HistorySettings, table: str | None) -> list[str]:
    """The columns of a table (None: the readings) that features are figures of."""
    of = (each.of for each in settings.features.values() if each.table == table)
    return list(dict.fromkeys(name for name in of if name is not None))


def longest(settings: HistorySettings, table: str | None) -> timedelta | None:
    """How far back features look in a table (None: the readings); None where none does."""
    return max(
        (each.over for each in settings.features.values() if each.table == table), default=None
    )


def whole_microseconds(span: timedelta) -> int:
    """A span as times are counted."""
    return span // timedelta(microseconds=1)
