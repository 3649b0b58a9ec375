"""History features of rows on their way to silver: what they may see is there, or among them.

The values are a function of the lines and of the order of their landing. So micro-batches, replays
and a rebuild from bronze give the same bits.
"""

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.history.features import history_features
from lakehouse.history.reach import columns_read, longest
from lakehouse.instants import ARROW_MOMENT
from lakehouse.storage.lakehouse import Lakehouse, Source
from lakehouse.tables import Table

_STATISTICS_UNIT = dt.timedelta(seconds=1)
"""Files tell their greatest times in milliseconds."""


def with_history(lakehouse: Lakehouse, source: Source, rows: pa.Table) -> pa.Table:
    """The rows with their history features; of a source that has none, the rows.

    Args:
        lakehouse: whose silver tables are looked at.
        source: whose rows they are.
        rows: new ones, in the order of their lines.
    """
    if not source.settings.computed or not len(rows):
        return rows
    model, catalog = lakehouse.model, lakehouse.catalog
    tables = dict(zip(model.history.tables, catalog.history, strict=True))
    found = history_features(
        rows,
        _in_sight(lakehouse, rows, None, catalog.readings),
        {name: _in_sight(lakehouse, rows, name, table) for name, table in tables.items()},
        model.history,
        model.event_time,
    )
    for name, values in found.items():
        rows = rows.set_column(rows.column_names.index(name), name, values)
    return rows


def _in_sight(lakehouse: Lakehouse, rows: pa.Table, name: str | None, table: Table) -> pa.Table:
    """The rows of a table that any of the rows may see: those of the longest span before them."""
    model = lakehouse.model
    settings, time = model.history, model.event_time
    if name is not None:
        _, time = settings.key_and_time(name)
    span = longest(settings, name) or dt.timedelta(0)
    ends = pc.min_max(rows[model.event_time]).as_py()
    first, last = ends["min"] - span - _STATISTICS_UNIT, ends["max"]
    within = (pc.field(time) > pa.scalar(first, ARROW_MOMENT)) & (
        pc.field(time) < pa.scalar(last, ARROW_MOMENT)
    )
    return lakehouse.store.arrow(table, within, columns_read(settings, time, name))
