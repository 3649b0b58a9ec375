"""Rows of a request to typed rows, by the rules that the stream's lines must pass. Pure."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lakehouse.errors import ConfigurationError
from lakehouse.ingest.validation import ABSENT, LineRules
from lakehouse.serving.bodies import Row
from lakehouse.serving.refusals import RefusedRequestError
from lakehouse.settings import ModelSettings
from lakehouse.settings.reserved import SERVED

_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class ServedRow:
    """A row that passed.

    Attributes:
        given: the values of the settings' columns as they were given.
        values: the same, typed.
        is_reading: whether it names its key and its event time: then it lands as a reading.
    """

    given: Row
    values: Row
    is_reading: bool


@dataclass(frozen=True)
class RowRules:
    """The rules of rows that are asked about.

    A row that names the key or the event time is a reading, and must be a whole one, as a landed
    line. A row that names neither is a question about features: they alone must be there, and what
    it gives besides is checked.
    """

    model: ModelSettings

    def __post_init__(self) -> None:
        for name in self.model.readings.columns:
            if self.model.readings.path_of(name)[0] == SERVED:
                raise ConfigurationError(
                    f"readings.columns.{name}.field: `{SERVED}` holds what an endpoint answered; "
                    "read another field"
                )

    @cached_property
    def _lines(self) -> LineRules:
        return LineRules(self.model.readings, self.model.stream, self.model.modelled)

    def read(self, rows: Sequence[Row], asked_at: dt.datetime) -> list[ServedRow]:
        """The rows, typed.

        Args:
            rows: as they were given.
            asked_at: the instant of the request (UTC); it stands for a line's landing.

        Raises:
            RefusedRequestError: one breaks a rule; all rules that any breaks are named.
        """
        read, broken = [], {}
        for place, row in enumerate(rows):
            served, reasons = self._row(row, asked_at)
            read.append(served)
            if reasons:
                broken[place] = reasons
        if broken:
            first, reasons = next(iter(broken.items()))
            raise RefusedRequestError(
                f"{len(broken)} of {len(rows)} rows break a rule; row {first}: "
                f"{'; '.join(reasons)}",
                rows=broken,
            )
        return read

    def _row(self, row: Row, asked_at: dt.datetime) -> tuple[ServedRow, list[str]]:
        model, reasons = self.model, list[str]()
        is_reading = model.key in row or model.event_time in row
        given, values = {}, {}
        for name, column in model.readings.columns.items():
            value = row.get(name, ABSENT)
            if value is ABSENT and not (is_reading or name in model.predictions.features):
                continue
            values[name], broken = self._lines.checked(value, name, column, asked_at)
            reasons += broken
            if value is not ABSENT:
                given[name] = value
        return ServedRow(given, values, is_reading), reasons

    def line(self, row: ServedRow, answer: Mapping[str, Any]) -> bytes:
        """A reading as the line that lands: its values where lines have them, and what was
        answered.
        """
        content: dict[str, Any] = {}
        for name, value in row.given.items():
            *outer, last = self.model.readings.path_of(name)
            inner = content
            for step in outer:
                inner = inner.setdefault(step, {})
            inner[last] = value
        content[SERVED] = answer
        return _encode(content).encode() + b"\n"
