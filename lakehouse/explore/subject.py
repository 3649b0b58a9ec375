"""What is explored: the columns of a model's readings, and the one that they are looked at by."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from lakehouse.errors import ConfigurationError
from lakehouse.settings import ColumnSettings, ModelSettings

SQL_TYPES = {
    "long": "BIGINT",
    "integer": "INTEGER",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "string": "VARCHAR",
    "timestamp": "TIMESTAMPTZ",
}
"""DuckDB's word for each type that a YAML file can name."""


@dataclass(frozen=True)
class Column:
    """A column of readings or labels.

    Attributes:
        name: as the table has it.
        type: as a YAML file writes it.
        values: that are declared; none where any is allowed.
        low: least value that is declared.
        high: greatest value that is declared.
    """

    name: str
    type: str
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, name: str, settings: ColumnSettings) -> "Column":
        """The column of the settings."""
        return cls(name, settings.type, settings.values or (), settings.min, settings.max)

    @property
    def is_category(self) -> bool:
        """Whether its values are kinds, not sizes."""
        return bool(self.values) or self.type in ("string", "boolean")


@dataclass(frozen=True)
class Span:
    """Days from the first to the last one, both included; None for no end.

    >>> str(Span(dt.date(2024, 3, 1), None))
    'from 2024-03-01 on'
    """

    first: dt.date | None = None
    last: dt.date | None = None

    def __post_init__(self) -> None:
        if self.first and self.last and self.first > self.last:
            raise ConfigurationError(
                f"--from {self.first} is after --to {self.last}; exchange them"
            )

    def __str__(self) -> str:
        if self.first and self.last:
            return f"{self.first} to {self.last}"
        if self.first:
            return f"from {self.first} on"
        return f"up to {self.last}" if self.last else "all days"

    @property
    def end(self) -> dt.date | None:
        """The first day after it; None where there is none."""
        return self.last + dt.timedelta(days=1) if self.last else None


@dataclass(frozen=True)
class Subject:
    """What is explored.

    Attributes:
        name: of the model.
        key: column that names a row.
        event_time: column that says when a row was made.
        readings: table (`layer.table`) of the rows.
        labels: table of their labels.
        label: the label's column.
        label_time: column that says when the label came.
        horizon: after which no label is waited for.
        columns: what is looked at, without `by`; the label among them where `by` is another column.
        by: what they are looked at by: the label, or a column of the readings.
        focus: the class of `by` whose share colours the pairs; None to choose the most frequent.
    """

    name: str
    key: str
    event_time: str
    readings: str
    labels: str
    label: Column
    label_time: str
    horizon: dt.timedelta
    columns: tuple[Column, ...]
    by: Column
    focus: Any = None

    @property
    def of_readings(self) -> tuple[Column, ...]:
        """The columns that are looked at and stand in the readings."""
        return tuple(column for column in self.all_columns if column != self.label)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """`by`, and the columns that are looked at by it."""
        return (self.by, *self.columns)


def subject_of(model: ModelSettings, by: str | None = None) -> Subject:
    """The subject of a model: its features and monitored columns, by its label or another column.

    Raises:
        ConfigurationError: there is no such column, or it is a time.
    """
    label = Column.of(model.labels.label, model.labels.columns[model.labels.label])
    names = (*model.predictions.features, *model.metrics.columns)
    columns = [
        Column.of(name, model.readings.columns[name])
        for name in names
        if model.readings.columns[name].type != "timestamp"
    ]
    subject = Subject(
        name=model.name,
        key=model.key,
        event_time=model.event_time,
        readings=f"silver.{model.readings.table}",
        labels=f"silver.{model.labels.table}",
        label=label,
        label_time=model.labels.time,
        horizon=model.labels.horizon,
        columns=tuple(columns),
        by=label,
        focus=None if model.is_regression else model.positive,
    )
    return subject if by in (None, label.name) else _by(subject, str(by))


def _by(subject: Subject, name: str) -> Subject:
    chosen = next((column for column in subject.columns if column.name == name), None)
    if chosen is None:
        known = _listed([subject.label.name, *(column.name for column in subject.columns)])
        raise ConfigurationError(f"--by {name}: is none of the columns; write one of {known}")
    others = tuple(column for column in subject.columns if column != chosen)
    return replace(subject, by=chosen, columns=(subject.label, *others), focus=None)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
