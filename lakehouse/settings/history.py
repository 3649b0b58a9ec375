"""`history:` in the YAML: features of a row that are computed from the rows before it."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from lakehouse.calendar import span_in_words
from lakehouse.settings.base import Name, Settings, Span
from lakehouse.settings.columns import ColumnSettings, SourceSettings

What = Literal[
    "mean", "min", "max", "count", "first", "last", "slope", "difference", "seconds_since"
]
_WITHOUT_COLUMN = ("count", "seconds_since")
_NUMBERS = ("double", "long", "integer")


class HistoryFeatureSettings(Settings):
    """One feature: a figure of the rows of a span of time before a row.

    Attributes:
        what: which figure. `slope` is per second, by least squares; `difference` is the row's own
            value less the last one before it.
        of: the column; `count` counts rows without one, `seconds_since` takes none.
        over: how far back it looks.
        table: of `history.tables` whose rows are meant; None for the readings themselves.
    """

    what: What
    over: Span
    of: Name | None = None
    table: Name | None = None

    @model_validator(mode="after")
    def _what_fits_the_column(self) -> "HistoryFeatureSettings":
        if self.what == "seconds_since" and self.of is not None:
            raise ValueError("of: leave it out; `seconds_since` looks at times alone")
        if self.what not in _WITHOUT_COLUMN and self.of is None:
            raise ValueError(f"of: write the column that the {self.what} is of")
        if self.what == "difference" and self.table is not None:
            raise ValueError("table: leave it out; a `difference` is to the row's own value")
        return self

    def definition(self, by: str | None) -> str:
        """The feature in words, the same however its span is written.

        >>> minutes = HistoryFeatureSettings(what="mean", of="temp", over="60 minutes")
        >>> minutes.definition("line")
        'mean of temp over 1 hour, by line'
        """
        of = "" if self.of is None else f" of {self.of}"
        table = "" if self.table is None else f" in {self.table}"
        group = "" if by is None else f", by {by}"
        return f"{self.what}{of}{table} over {span_in_words(self.over)}{group}"


class HistoryTableSettings(Settings):
    """Another kind of incoming line that features look at; its name is its landing folder's.

    Attributes:
        key: names a line: of two with one key, the first counts.
        time: when what it tells of happened.
    """

    key: Name
    time: Name
    columns: dict[Name, ColumnSettings]

    @model_validator(mode="after")
    def _key_and_time_are_there(self) -> "HistoryTableSettings":
        for role, name, kinds in (
            ("key", self.key, ("long", "integer", "string")),
            ("time", self.time, ("timestamp",)),
        ):
            column = self.columns.get(name)
            if column is None:
                raise ValueError(f"{role}: declare {name} under columns, or name another column")
            if column.type not in kinds or column.nullable:
                raise ValueError(
                    f"columns.{name}: write `type: {' or '.join(kinds)}` and no `nullable`, since "
                    f"it is the {role}"
                )
        return self


class HistorySettings(Settings):
    """The features that are computed from earlier rows, and what they look at besides readings.

    Attributes:
        by: column of the readings: a row sees rows of its own group; without it, all rows. It
            parts the rows of a table that has the column, too.
        tables: other kinds of lines, by name.
        features: by name; they are columns of the readings.
    """

    by: Name | None = None
    tables: dict[Name, HistoryTableSettings] = Field(default_factory=dict)
    features: dict[Name, HistoryFeatureSettings] = Field(default_factory=dict)

    def columns(self, readings: SourceSettings) -> dict[str, ColumnSettings]:
        """The features as columns of the readings.

        Raises:
            ValueError: one names a column or a table that is not there, or is of another type.
        """
        self._check(readings)
        return {
            name: ColumnSettings(type="double", nullable=True, comment=feature.definition(self.by))
            for name, feature in self.features.items()
        }

    def group_of(self, table: str | None) -> str | None:
        """The column that parts a table's rows (None: the readings'); None where none does."""
        is_parted = table is None or self.by in self.tables[table].columns
        return self.by if is_parted else None

    def sources(self) -> dict[str, SourceSettings]:
        """The other kinds of lines, by name."""
        return {
            name: SourceSettings(table=name, columns=table.columns)
            for name, table in self.tables.items()
        }

    def key_and_time(self, table: str) -> tuple[str, str]:
        """The columns that name a table's row, and tell when it happened."""
        return self.tables[table].key, self.tables[table].time

    def _check(self, readings: SourceSettings) -> None:
        if self.by is not None:
            group = readings.columns.get(self.by)
            if group is None or group.nullable or group.type not in ("string", "long", "integer"):
                raise ValueError(
                    f"history.by: declare {self.by} in readings.columns as `string`, `long` or "
                    "`integer`, and not `nullable`"
                )
        for name, feature in self.features.items():
            place = f"history.features.{name}"
            if name in readings.columns:
                raise ValueError(f"{place}: readings.columns has that name; write another one")
            if feature.table is not None and feature.table not in self.tables:
                raise ValueError(f"{place}.table: declare {feature.table} in history.tables")
            tables = self.sources()
            source = readings if feature.table is None else tables[feature.table]
            self._check_column(place, feature, source.columns)
        self._check_groups(readings)

    def _check_column(
        self, place: str, feature: HistoryFeatureSettings, columns: Mapping[str, ColumnSettings]
    ) -> None:
        if feature.of is None:
            return
        if feature.of not in columns:
            raise ValueError(f"{place}.of: there is no column {feature.of}; name one that is there")
        if columns[feature.of].type not in _NUMBERS and feature.what != "count":
            raise ValueError(
                f"{place}.of: {feature.of} is no number; name a `double`, `long` or `integer`"
            )

    def _check_groups(self, readings: SourceSettings) -> None:
        """A table's group is compared with the readings'."""
        for name, table in self.tables.items():
            group = self.group_of(name)
            if group is None:
                continue
            own = readings.columns[group].type
            if table.columns[group].type != own or table.columns[group].nullable:
                raise ValueError(
                    f"history.tables.{name}.columns.{group}: write `type: {own}`, as in "
                    "readings.columns, and no `nullable`"
                )
