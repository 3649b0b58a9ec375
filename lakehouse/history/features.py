"""History features of rows: a pure function of the rows and of what had landed before them.

A row sees the rows of its group whose event time lies in `(t - over, t)` and whose line landed
before its own: in an earlier file, or further up in the same one. So a value does not depend on
micro-batches, on when it is computed, or on what computes it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.history.reach import LINE, Group, seen_columns
from lakehouse.history.running import RunningHistory
from lakehouse.instants import ARROW_MOMENT
from lakehouse.settings import HistorySettings


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A row, as it comes in.

    Attributes:
        landed: its file and its line.
        table: which one it is of; None for the readings.
        place: among the rows whose features are asked for; None for others.
    """

    landed: tuple[int, int]
    table: str | None
    place: int | None
    group: Group
    at: int
    values: Mapping[str, Any]


def history_features(
    rows: pa.Table,
    earlier: pa.Table,
    tables: Mapping[str, pa.Table],
    settings: HistorySettings,
    event_time: str,
) -> dict[str, pa.Array]:
    """Each feature's values, one for each row; null where nothing before tells it.

    Args:
        rows: readings, with what orders their landing. They see each other.
        earlier: readings that may be seen besides, with the same columns.
        tables: rows of the other tables, by name.
        settings: the features.
        event_time: the readings' column of it.
    """
    arrivals = [*_arrivals(rows, None, settings, event_time, is_asked=True)]
    arrivals += _arrivals(earlier, None, settings, event_time)
    for name, table in settings.tables.items():
        arrivals += _arrivals(tables[name], name, settings, table.time)
    arrivals.sort(key=_landed)
    history = RunningHistory(settings, forgets=False)
    found: dict[str, list[float | None]] = {name: [None] * len(rows) for name in settings.features}
    for _, together in groupby(arrivals, _landed):
        come = list(together)
        for each in come:
            if each.place is not None:
                features = history.features(each.group, each.at, each.values)
                for name, value in features.items():
                    found[name][each.place] = value
        for each in come:
            history.add(each.table, each.group, each.at, each.values)
    return {name: pa.array(values, pa.float64()) for name, values in found.items()}


def _landed(arrival: _Arrival) -> tuple[int, int]:
    return arrival.landed


def _arrivals(
    rows: pa.Table, table: str | None, settings: HistorySettings, time: str, is_asked: bool = False
) -> Iterator[_Arrival]:
    """The rows of a table, in its order."""
    group, names = settings.group_of(table), seen_columns(settings, table)
    times = rows[time].cast(ARROW_MOMENT).cast(pa.int64()).to_pylist()
    groups = [None] * len(rows) if group is None else rows[group].to_pylist()
    columns = [rows[name].to_pylist() for name in names]
    values = zip(*columns, strict=True) if columns else ((),) * len(rows)
    own = zip(_landings(rows), groups, times, values, strict=True)
    for place, (landed, group_, at, given) in enumerate(own):
        asked = place if is_asked else None
        yield _Arrival(landed, table, asked, group_, at, dict(zip(names, given, strict=True)))


def _landings(rows: pa.Table) -> list[tuple[int, int]]:
    """File and line of each row; a release that recorded no file came first."""
    files, lines = (pc.fill_null(rows[name].cast(pa.int64()), -1).to_pylist() for name in LINE)
    return list(zip(files, lines, strict=True))
