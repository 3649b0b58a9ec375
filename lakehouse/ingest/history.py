"""History features of rows on their way to silver: what they may see is there, or among them.

The values are a function of the lines and of the order of their landing. So micro-batches, replays
and a rebuild from bronze give the same bits.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.history.features import Arrival, Landed, arrivals, features_in_turn
from lakehouse.history.reach import FILE, columns_read, longest, whole_microseconds
from lakehouse.history.running import RunningHistory
from lakehouse.settings import ModelSettings
from lakehouse.storage.lakehouse import Lakehouse, Source
from lakehouse.storage.partitions import since_moment
from lakehouse.storage.store import Store
from lakehouse.tables import Table

_BEFORE_ALL: Landed = (-2, -2)


def with_history(lakehouse: Lakehouse, source: Source, rows: pa.Table) -> pa.Table:
    """The rows with their history features; of a source that has none, the rows.

    Args:
        lakehouse: whose silver tables are looked at.
        source: whose rows they are.
        rows: new ones, in the order of their lines.
    """
    if not source.settings.computed or not len(rows):
        return rows
    in_sight = lakehouse.kept.setdefault(
        "rows in sight", RowsInSight(lakehouse.store, lakehouse.model)
    )
    for name, values in in_sight.features(rows).items():
        rows = rows.set_column(rows.column_names.index(name), name, values)
    return rows


class RowsInSight:
    """The rows of silver that features may see, kept from one micro-batch to the next.

    It keeps nothing that silver does not have, and no value depends on it. It begins anew where a
    row looks further back than it reaches, or landed before a row that it has.
    """

    def __init__(self, store: Store, model: ModelSettings) -> None:
        """Read nothing yet.

        Args:
            store: of the silver tables.
            model: whose `history` has the features.
        """
        self._store, self._model = store, model
        settings, catalog = model.history, store.catalog
        self._settings = settings
        self._tables: dict[str | None, Table] = {
            **dict(zip(settings.tables, catalog.history, strict=True)),
            None: catalog.readings,
        }
        spans = (longest(settings, name) for name in self._tables)
        self._reach = whole_microseconds(max(span for span in spans if span is not None))
        self._running: RunningHistory | None = None
        self._since = 0
        self._known: dict[str | None, Landed] = {}

    def features(self, rows: pa.Table) -> dict[str, pa.Array]:
        """Each feature's values, one for each row.

        Args:
            rows: readings that are not in silver.
        """
        settings = self._settings
        asked = arrivals(rows, None, settings, self._model.event_time, is_asked=True)
        first = min(each.at for each in asked)
        landed = [each.landed for each in asked]
        running = self._reaching(first - self._reach, min(landed))
        news = self._news(max(landed))
        found = features_in_turn(running, [*news, *asked], settings)
        if any(each.table is None and each.landed > min(landed) for each in news):
            self._running = None  # rows of silver lie between them: nothing is taken back by time
            return found
        # They are not in silver yet, and may never be.
        for each in sorted(asked, key=lambda each: each.landed, reverse=True):
            running.take_back(None, each.group, each.at, each.values)
        for each in news:
            self._known[each.table] = max(each.landed, self._known.get(each.table, _BEFORE_ALL))
        # A row may be late by the longest span.
        self._since = max(self._since, first - 2 * self._reach)
        running.forget(self._since)
        return found

    def _reaching(self, since: int, landed: Landed) -> RunningHistory:
        """The rows that are kept, where they go back so far and all landed before; else none."""
        newest = max(self._known.values(), default=_BEFORE_ALL)
        if self._running is None or since < self._since or landed <= newest:
            self._running = RunningHistory(self._settings, forgets=False)
            self._since, self._known = since, {}
        return self._running

    def _news(self, until: Landed) -> Sequence[Arrival]:
        """The rows that silver has got and that landed before a line, of all tables."""
        found: list[Arrival] = []
        for name, table in self._tables.items():
            time = self._model.event_time if name is None else self._settings.tables[name].time
            where = since_moment(time, self._since)
            known = self._known.get(name)
            if known is not None:
                where &= pc.field(FILE) >= known[0]
            rows = self._store.arrow(table, where, columns_read(self._settings, time, name))
            come = arrivals(rows, name, self._settings, time)
            known = known or _BEFORE_ALL
            found += [each for each in come if known < each.landed < until]
        return found
