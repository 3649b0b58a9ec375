"""The rows that have come, and the features of the next one."""

import math
from collections.abc import Mapping
from typing import Any

from lakehouse.history.figures import figure
from lakehouse.history.lanes import NOTHING, Lane, Seen
from lakehouse.history.reach import Group, longest, whole_microseconds
from lakehouse.settings import HistoryFeatureSettings, HistorySettings

Values = Mapping[str, Any]
_Column = tuple[str | None, Group, str | None]
"""Of a table (None: the readings), a group, and a column (None: the rows themselves)."""


class RunningHistory:
    """Rows that have come, and the features of the next one.

    What comes is added in the order of its landing. A row's features are those of
    `history_features` where all that landed before it has been added.
    """

    def __init__(self, settings: HistorySettings, forgets: bool = True) -> None:
        """Nothing has come yet.

        Args:
            settings: the features.
            forgets: whether rows that are older than two of the longest spans may be dropped.
        """
        self._settings = settings
        self._lanes: dict[_Column, Lane] = {}
        self._columns: dict[str | None, list[str | None]] = {}
        for each in settings.features.values():
            columns = self._columns.setdefault(each.table, [])
            columns += [] if each.of in columns else [each.of]
        spans = {table: longest(settings, table) for table in self._columns} if forgets else {}
        self._keeps = {table: 2 * whole_microseconds(span) for table, span in spans.items() if span}

    def add(self, table: str | None, group: Group, at: int, values: Values) -> None:
        """Add a row of a table (None: a reading).

        Args:
            table: its name.
            group: of the row; None without groups.
            at: its time, in microseconds since 1970.
            values: of `seen_columns`.
        """
        group, keeps = self._group(table, group), self._keeps.get(table)
        for column, value in self._known(table, values):
            lane = self._lanes.get((table, group, column))
            if lane is None:
                lane = self._lanes[table, group, column] = Lane()
            lane.add(at, value)
            if keeps is not None:
                lane.forget(lane.newest - keeps)

    def take_back(self, table: str | None, group: Group, at: int, values: Values) -> None:
        """Forget a row of a table again, the last one that was added of its time."""
        group = self._group(table, group)
        for column, _ in self._known(table, values):
            lane = self._lanes.get((table, group, column))
            if lane is not None:
                lane.take_back(at)

    def forget(self, before: int) -> None:
        """Drop the rows of all tables from before a time."""
        for column, lane in [*self._lanes.items()]:
            lane.forget(before)
            if lane.is_empty:
                del self._lanes[column]

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
        value = None if feature.of is None else _number(own.get(feature.of))
        return figure(feature, at, value, self._seen(feature, group, at))

    def _seen(self, feature: HistoryFeatureSettings, group: Group, at: int) -> Seen:
        column = feature.table, self._group(feature.table, group), feature.of
        lane = self._lanes.get(column)
        if lane is None:  # to count its rows would go through all blocks
            return NOTHING
        return lane.seen(at - whole_microseconds(feature.over), at)

    def _known(self, table: str | None, values: Values) -> list[tuple[str | None, float]]:
        """The columns in which a row has a value, and that; the row itself has one always."""
        columns = self._columns.get(table, ())
        found = ((name, 0.0 if name is None else _number(values.get(name))) for name in columns)
        return [(name, value) for name, value in found if value is not None]

    def _group(self, table: str | None, group: Group) -> Group:
        return None if self._settings.group_of(table) is None else group


def _number(value: Any) -> float | None:
    """A double; of what is no number, 0 where there is a value."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return None if value is None else 0.0
