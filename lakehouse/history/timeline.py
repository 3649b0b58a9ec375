"""Rows of one table in order of event time, group by group, and which of them a row sees."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.instants import ARROW_MOMENT

LINE = ("landed_file_id", "line")
"""Columns that order all lines by their landing."""


@dataclass(frozen=True)
class Lane:
    """The rows of a group, in order of event time, of one time in that of their landing.

    Attributes:
        times: microseconds since 1970.
        files: ids of the landed files.
        lines: in these.
        values: of each column, NaN for null.
    """

    times: np.ndarray
    files: np.ndarray
    lines: np.ndarray
    values: Mapping[str, np.ndarray]

    def seen(self, at: int, over: int, file: int, line: int) -> np.ndarray:
        """Places of the rows that a row sees.

        Their event times lie in `(at - over, at)`, and they landed before the row's line.
        """
        start = np.searchsorted(self.times, at - over, side="right")
        end = np.searchsorted(self.times, at, side="left")
        files, lines = self.files[start:end], self.lines[start:end]
        landed = (files < file) | ((files == file) & (lines < line))
        return start + np.flatnonzero(landed)


_NO_TIMES = np.empty(0, dtype=np.int64)
_NOTHING = Lane(_NO_TIMES, _NO_TIMES, _NO_TIMES, {})
Group = Hashable | None


@dataclass(frozen=True)
class Timeline:
    """A table's rows.

    Attributes:
        lanes: by group.
        is_grouped: whether the table has the column of the groups; without it, all rows see all.
    """

    lanes: Mapping[Group, Lane]
    is_grouped: bool

    @classmethod
    def of(cls, rows: pa.Table, time: str, by: str | None, columns: Iterable[str]) -> "Timeline":
        """Of rows with their time, their group, what orders their landing, and the columns."""
        order = (microseconds(rows[time]), *landing_of(rows))
        values = {name: numbers(rows[name]) for name in columns}
        groups = groups_of(rows, by)
        lanes = {}
        for group, places in _places_by_group(groups).items():
            ranked = places[np.lexsort([each[places] for each in reversed(order)])]
            own = {name: each[ranked] for name, each in values.items()}
            times, files, lines = (each[ranked] for each in order)
            lanes[group] = Lane(times, files, lines, own)
        return cls(lanes, by is not None)

    def lane(self, group: Group) -> Lane:
        """The rows that a row of the group may see."""
        return self.lanes.get(group if self.is_grouped else None, _NOTHING)


def microseconds(times: pa.ChunkedArray) -> np.ndarray:
    """Times as whole microseconds since 1970."""
    moments = times.cast(ARROW_MOMENT).cast(pa.int64())
    return np.asarray(moments.to_numpy())


def landing_of(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """File and line of each row; a release that recorded no file came first."""
    files, lines = (pc.fill_null(rows[name].cast(pa.int64()), -1).to_numpy() for name in LINE)
    return np.asarray(files), np.asarray(lines)


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Doubles, NaN for null; of what is no number, 0 where there is a value."""
    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        column = pc.if_else(column.is_valid(), 0.0, None)
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def groups_of(rows: pa.Table, by: str | None) -> list[Group]:
    """The group of each row; None without groups."""
    return [None] * len(rows) if by is None else rows[by].to_pylist()


def _places_by_group(groups: list[Group]) -> dict[Group, np.ndarray]:
    places: dict[Group, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    return {group: np.array(own) for group, own in places.items()}
