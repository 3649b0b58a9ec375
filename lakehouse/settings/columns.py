"""Columns of incoming lines, and the kinds of lines that have them."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from lakehouse.settings.base import (
    ColumnType,
    FieldPath,
    Moment,
    Name,
    Scalar,
    Settings,
    Span,
    ZoneName,
    checked_once,
)

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "long": (int,),
    "integer": (int,),
    "double": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "timestamp": (),
}


class ColumnSettings(Settings):
    """One column of an incoming line: its type, and the rules that a value must pass.

    Attributes:
        field: where its value stands in the line, if not in a field of the column's own name:
            `sensor.temp` is the field `temp` of the object `sensor`. A list names each step as it
            is, dots included.
    """

    type: ColumnType
    field: FieldPath | None = None
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    values: (
        Annotated[tuple[Scalar, ...], Field(min_length=1), AfterValidator(checked_once)] | None
    ) = None
    comment: str = ""

    @model_validator(mode="after")
    def _bounds_fit_the_type(self) -> "ColumnSettings":
        numeric = self.type in ("long", "integer", "double")
        if not numeric and (self.min is not None or self.max is not None):
            raise ValueError(
                f"min and max are for numbers; a {self.type} column takes `values`, or nothing"
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max; exchange them")
        strange = [
            value for value in self.values or () if type(value) not in _PYTHON_TYPES[self.type]
        ]
        if strange:
            raise ValueError(
                f"values are of another type: {strange}; write {self.type} values (words in quotes)"
            )
        return self


class StreamSettings(Settings):
    """When the stream began, how far ahead of its landing an event may be, and its zone.

    Attributes:
        time_zone: of times that are written without one, as the IANA database names it.
    """

    began: Moment
    max_ahead: Span = dt.timedelta(minutes=5)
    time_zone: ZoneName = "UTC"

    @property
    def zone(self) -> dt.tzinfo:
        """The zone of times that are written without one."""
        return dt.UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone)


class SourceSettings(Settings):
    """One kind of incoming line: the name of its landing folder and tables, and its columns.

    Attributes:
        columns: those of its lines, and those that are computed when lines come in.
    """

    table: Name
    columns: dict[Name, ColumnSettings]
    _computed: frozenset[str] = PrivateAttr(frozenset())

    def with_computed(self, columns: Mapping[str, ColumnSettings]) -> Self:
        """The same with columns that no line has."""
        source = self.model_copy(update={"columns": {**self.columns, **columns}})
        source._computed = frozenset(columns)
        return source

    @property
    def landed(self) -> dict[str, ColumnSettings]:
        """The columns that lines have."""
        return {name: column for name, column in self.columns.items() if name not in self._computed}

    @property
    def computed(self) -> dict[str, ColumnSettings]:
        """The columns that are computed when lines come in: their comments define them."""
        return {name: column for name, column in self.columns.items() if name in self._computed}

    def path_of(self, column: str) -> tuple[str, ...]:
        """The names that lead to the column's value in a line, from the outermost inwards."""
        return self.columns[column].field or (column,)
