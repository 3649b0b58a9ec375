"""The same features row by row: what an endpoint keeps of the rows that it has seen."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lakehouse.history.features import longest, seen_columns, whole_microseconds
from lakehouse.history.figures import figure
from lakehouse.history.timeline import Group
from lakehouse.settings import HistoryFeatureSettings, HistorySettings

Values = Mapping[str, Any]
_Numbers = dict[str, float | None]


@dataclass
class _Lane:
    """The rows of a group, in order of event time, of one time in that of their coming."""

    times: list[int] = field(default_factory=list)
    rows: list[_Numbers] = field(default_factory=list)

    def add(self, at: int, row: _Numbers) -> None:
        place = bisect_right(self.times, at)
        self.times.insert(place, at)
        self.rows.insert(place, row)

    def take_back(self, at: int) -> None:
        place = bisect_right(self.times, at) - 1
        if place >= 0 and self.times[place] == at:
            del self.times[place], self.rows[place]

    def forget(self, before: int) -> None:
        place = bisect_left(self.times, before)
        del self.times[:place], self.rows[:place]

    def seen(self, at: int, over: int, of: str | None) -> tuple[list[int], list[float]]:
        start, end = bisect_right(self.times, at - over), bisect_left(self.times, at)
        times, rows = self.times[start:end], self.rows[start:end]
        if of is None:
            return times, []
        known = [(time, row[of]) for time, row in zip(times, rows, strict=True)]
        pairs = [(time, value) for time, value in known if value is not None]
        return [time for time, _ in pairs], [value for _, value in pairs]


class RunningHistory:
    """Rows that have come, and the features of the next one.

    What comes is added in the order of its landing. A row's features are those of
    `history_features` where all that landed before it has been added.
    """

    def __init__(self, settings: HistorySettings) -> None:
        """Nothing has come yet."""
        self._settings = settings
        self._lanes: dict[tuple[str | None, Group], _Lane] = {}
        self._keeps = {
            table: 2 * whole_microseconds(span)
            for table in (None, *settings.tables)
            if (span := longest(settings, table)) is not None
        }

    def add(self, table: str | None, group: Group, at: int, values: Values) -> None:
        """Add a row of a table (None: a reading); what is older than two spans is forgotten.

        Args:
            table: its name.
            group: of the row; None without groups.
            at: its time.
            values: of `seen_columns`.
        """
        if table not in self._keeps:
            return
        lane = self._lanes.setdefault((table, self._group(table, group)), _Lane())
        names = seen_columns(self._settings, table)
        lane.add(at, {name: _number(values.get(name)) for name in names})
        lane.forget(lane.times[-1] - self._keeps[table])

    def take_back(self, table: str | None, group: Group, at: int) -> None:
        """Forget the row that was added last with that time."""
        lane = self._lanes.get((table, self._group(table, group)))
        if lane is not None:
            lane.take_back(at)

    def features(self, group: Group, at: int, own: Values) -> dict[str, float | None]:
        """The features of a row.

        Args:
            group: of the row.
            at: its time.
            own: its values.
        """
        return {
            name: self._feature(feature, group, at, own)
            for name, feature in self._settings.features.items()
        }

    def _feature(
        self, feature: HistoryFeatureSettings, group: Group, at: int, own: Values
    ) -> float | None:
        lane = self._lanes.get((feature.table, self._group(feature.table, group)), _Lane())
        times, values = lane.seen(at, whole_microseconds(feature.over), feature.of)
        value = None if feature.of is None else _number(own.get(feature.of))
        return figure(feature, at, value, times, values)

    def _group(self, table: str | None, group: Group) -> Group:
        return None if self._settings.group_of(table) is None else group


def _number(value: Any) -> float | None:
    """A double; of what is no number, 0 where there is a value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None if math.isnan(value) else float(value)
    return None if value is None else 0.0
