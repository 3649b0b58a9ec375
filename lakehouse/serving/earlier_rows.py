"""The rows before those that are asked about: features that the stream computes when they land.

What is in silver is read at the start and at each look; what is answered is added as it is written.
Lines of one endpoint land in the order of its answers, so the stream finds the same values.
"""

import asyncio
import datetime as dt
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.history.reach import FILE, LINE, columns_read, longest
from lakehouse.history.running import RunningHistory
from lakehouse.instants import ARROW_MOMENT
from lakehouse.serving.rows import ServedRow
from lakehouse.settings import ModelSettings
from lakehouse.storage.plain_tables import newest_time, read_at, table_version
from lakehouse.tables import Table, catalog_of

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class EarlierRows:
    """The rows that features of the next one are computed from.

    Attributes:
        features: their names.
        turn: held from a request's features to the landing of its rows, so that its lines land in
            the order in which features saw them.
    """

    def __init__(self, root: str, model: ModelSettings) -> None:
        """Read nothing yet."""
        self._root, self._model = root, model
        self._running = RunningHistory(model.history)
        self._versions: dict[str | None, int] = {}
        self._newest_files: dict[str | None, int] = {}
        self._known: dict[str | None, dict[Any, int]] = {}
        self._added: list[tuple[Any, Any, int, Any]] = []
        self._lock = threading.Lock()
        self.features = tuple(model.history.features)
        self.turn = asyncio.Lock()

    def look(self) -> None:
        """Add what silver has got since the last look."""
        catalog = catalog_of(self._model)
        for name, table in zip(self._model.history.tables, catalog.history, strict=True):
            self._look(name, table)
        self._look(None, catalog.readings)

    def filled(self, rows: Sequence[ServedRow], asked_at: dt.datetime) -> list[ServedRow]:
        """The rows with their features, and each reading among them added.

        A feature that a row gives itself stays; null is none. A row that tells no event time is
        about now.
        """
        self._added = []
        return [self._filled(row, asked_at) for row in rows]

    def take_back(self) -> None:
        """Forget the readings of the last request: they did not land."""
        with self._lock:
            for key, group, at, values in reversed(self._added):
                del self._known[None][key]
                self._running.take_back(None, group, at, values)
            self._added = []

    def _filled(self, row: ServedRow, asked_at: dt.datetime) -> ServedRow:
        named = {self._model.event_time: asked_at} | {
            name: value for name, value in row.values.items() if value is not None
        }
        at, group = self._at(named), self._group(named)
        with self._lock:
            features = self._running.features(group, at, row.values)
            key = row.values.get(self._model.key)
            if row.is_reading and self._add(None, key, group, at, row.values):
                self._added.append((key, group, at, row.values))
        own = {name: each for name, each in features.items() if row.values.get(name) is None}
        return replace(row, values={**row.values, **own})

    def _look(self, name: str | None, table: Table) -> None:
        version = table_version(self._root, table)
        if version == self._versions.get(name):
            return
        settings = self._model.history
        key, time = self._model.key, self._model.event_time
        if name is not None:
            key, time = settings.key_and_time(name)
        newest, span = newest_time(self._root, table, time), longest(settings, name)
        if newest is not None and span is not None:
            within = pc.field(time) > pa.scalar(newest - 2 * span, ARROW_MOMENT)
            if name in self._newest_files:
                # Files are numbered as they land, and the newest one may not be read to its end.
                within &= pc.field(FILE) >= self._newest_files[name]
            columns = list(dict.fromkeys([key, *columns_read(settings, time, name)]))
            rows = read_at(self._root, table, version, columns, within).to_pylist()
            # A release that recorded no file came first.
            rows.sort(key=lambda row: [-1 if row[name] is None else row[name] for name in LINE])
            if rows and rows[-1][FILE] is not None:
                self._newest_files[name] = rows[-1][FILE]
            with self._lock:
                for row in rows:
                    self._add(name, row[key], self._group(row), micros(row[time]), row)
                self._forget_keys(name, micros(newest - 2 * span))
        self._versions[name] = version

    def _add(self, name: str | None, key: Any, group: Any, at: int, row: Any) -> bool:
        """Add a row, once for each key, as silver has it; return whether it is new."""
        known = self._known.setdefault(name, {})
        if key in known:
            return False
        known[key] = at
        self._running.add(name, group, at, row)
        return True

    def _forget_keys(self, name: str | None, before: int) -> None:
        known = self._known.get(name, {})
        self._known[name] = {key: at for key, at in known.items() if at >= before}

    def _at(self, values: Any) -> int:
        return micros(values[self._model.event_time])

    def _group(self, values: Any) -> Any:
        by = self._model.history.by
        return None if by is None else values.get(by)


def micros(moment: dt.datetime) -> int:
    """A moment in whole microseconds since 1970."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)
