"""History features of rows: a pure function of the rows and of what had landed before them.

A row sees the rows of its group whose event time lies in `(t - over, t)` and whose line landed
before its own: in an earlier file, or further up in the same one. So a value does not depend on
micro-batches, on when it is computed, or on what computes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.history.reach import LINE, Group, seen_columns
from lakehouse.history.running import RunningHistory
from lakehouse.instants import ARROW_MOMENT
from lakehouse.settings import HistorySettings

Landed = tuple[int, int]
"""File and line; of a release that recorded no file, -1."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A row, as it comes in.

    Attributes:
        landed: its file and its line.
        table: which one it is of; None for the readings.
        place: among the rows whose features are asked for; None for others.
    """

    landed: Landed
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
    come = arrivals(rows, None, settings, event_time, is_asked=True)
    come += arrivals(earlier, None, settings, event_time)
    for name, table in settings.tables.items():
        come += arrivals(tables[name], name, settings, table.time)
    return features_in_turn(RunningHistory(settings, forgets=False), come, settings)


def features_in_turn(
    history: RunningHistory, come: Sequence[Arrival], settings: HistorySettings
) -> dict[str, pa.Array]:
    """The features of the rows that are asked for, as rows come in, in the order of their landing.

    Args:
        history: of all that landed before; what comes is added to it.
        come: in any order.
        settings: the features.
    """
    asked = sum(each.place is not None for each in come)
    found: dict[str, list[float | None]] = {name: [None] * asked for name in settings.features}
    for _, same in groupby(sorted(come, key=_landed), _landed):
        # Of one line there may be several rows, which do not see each other.
        together = list(same)
        for each in together:
            if each.place is not None:
                features = history.features(each.group, each.at, each.values)
                for name, value in features.items():
                    found[name][each.place] = value
        for each in together:
            history.add(each.table, each.group, each.at, each.values)
    return {name: pa.array(values, pa.float64()) for name, values in found.items()}


def _landed(arrival: Arrival) -> Landed:
    return arrival.landed


def arrivals(
    rows: pa.Table, table: str | None, settings: HistorySettings, time: str, is_asked: bool = False
) -> list[Arrival]:
    """The rows of a table, in its order.

    Args:
        rows: with the columns of `columns_read`.
        table: its name; None for the readings.
        settings: the features.
        time: the table's column of event time.
        is_asked: whether their features are asked for.
    """
    group, names = settings.group_of(table), seen_columns(settings, table)
    times = rows[time].cast(ARROW_MOMENT).cast(pa.int64()).to_pylist()
    groups = [None] * len(rows) if group is None else rows[group].to_pylist()
    columns = [rows[name].to_pylist() for name in names]
    values = zip(*columns, strict=True) if columns else ((),) * len(rows)
    own = zip(_landings(rows), groups, times, values, strict=True)
    return [
        Arrival(
            landed,
            table,
            place if is_asked else None,
            row_group,
            at,
            dict(zip(names, given, strict=True)),
        )
        for place, (landed, row_group, at, given) in enumerate(own)
    ]


def _landings(rows: pa.Table) -> list[Landed]:
    """File and line of each row; a release that recorded no file came first."""
    files, lines = (pc.fill_null(rows[name].cast(pa.int64()), -1).to_pylist() for name in LINE)
    return list(zip(files, lines, strict=True))
