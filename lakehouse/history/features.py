"""History features of rows: a pure function of the rows and of what had landed before them.

A row sees the rows of its group whose event time lies in `(t - over, t)` and whose line landed
before its own: in an earlier file, or further up in the same one. So a value does not depend on
micro-batches, on when it is computed, or on what computes it.
"""

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import pyarrow as pa

from lakehouse.history.figures import figure
from lakehouse.history.timeline import (
    LINE,
    Lane,
    Timeline,
    groups_of,
    landing_of,
    microseconds,
    numbers,
)
from lakehouse.settings import HistoryFeatureSettings, HistorySettings

_Named = list[tuple[str, HistoryFeatureSettings]]


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
    together = pa.concat_tables(
        [each.select(columns_read(settings, event_time)) for each in (earlier, rows)]
    )
    own = Timeline.of(together, event_time, settings.by, seen_columns(settings, None))
    timelines: dict[str | None, Timeline] = {None: own}
    for name, table in settings.tables.items():
        of = seen_columns(settings, name)
        timelines[name] = Timeline.of(tables[name], table.time, settings.group_of(name), of)
    found: dict[str, pa.Array] = {}
    for (seen_in, over), features in _by_span(settings).items():
        found |= _values(rows, timelines[seen_in], over, features, settings.by, event_time)
    return {name: found[name] for name in settings.features}


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


def _by_span(settings: HistorySettings) -> dict[tuple[str | None, int], _Named]:
    """The features that see the same rows."""
    found: dict[tuple[str | None, int], _Named] = {}
    for name, feature in settings.features.items():
        found.setdefault((feature.table, whole_microseconds(feature.over)), []).append(
            (name, feature)
        )
    return found


def _values(
    rows: pa.Table,
    timeline: Timeline,
    over: int,
    features: _Named,
    by: str | None,
    event_time: str,
) -> dict[str, pa.Array]:
    times = microseconds(rows[event_time]).tolist()
    files, lines = (each.tolist() for each in landing_of(rows))
    own = {
        name: numbers(rows[feature.of]).tolist()
        for name, feature in features
        if feature.what == "difference" and feature.of is not None
    }
    found: dict[str, list[float | None]] = {name: [] for name, _ in features}
    for place, group in enumerate(groups_of(rows, by)):
        lane = timeline.lane(group)
        seen = lane.seen(times[place], over, files[place], lines[place])
        for name, feature in features:
            value = own[name][place] if name in own else None
            value = None if value is None or np.isnan(value) else value
            shown = _shown(lane, seen, feature.of)
            found[name].append(figure(feature, times[place], value, *shown))
    return {name: pa.array(values, pa.float64()) for name, values in found.items()}


def _shown(lane: Lane, seen: np.ndarray, of: str | None) -> tuple[list[int], list[float]]:
    """Times and values of the rows that have one; without a column, of all rows."""
    if of is None or not len(seen):
        return lane.times[seen].tolist(), []
    values = lane.values[of][seen]
    known = ~np.isnan(values)
    return lane.times[seen][known].tolist(), values[known].tolist()
