"""The metric tables of gold, computed from scratch over silver and compared row by row."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from lakehouse.lineage.verification import DIFFERENT, GONE, SAME, Check
from lakehouse.monitoring.aggregator import computed_tables, recompute
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import NO_DAY, on_days
from lakehouse.storage.store import Row, Store
from lakehouse.tables import Table
from lakehouse.tables.row_comparison import WHEN_COMPUTED, by_key, differing_columns

WHAT = "metrics from scratch"
_DAYS_AT_ONCE = 7


@dataclass(frozen=True)
class ScratchStore(Store):
    """A store that reads a lakehouse's tables and writes some of them elsewhere.

    Attributes:
        scratch: root of the tables that lie elsewhere.
        moved: full names of these tables.
    """

    scratch: str = ""
    moved: frozenset[str] = field(default_factory=frozenset)

    def path(self, table: Table) -> str:
        """Return the path of a table, in the lakehouse or elsewhere."""
        return table.path_in(self.scratch if table.full_name in self.moved else self.root)


def metric_checks(lakehouse: Lakehouse) -> Iterator[Check]:
    """Compare each row of the metric tables with what silver gives now; nothing is written.

    A row of an earlier configuration of the metrics stays as it was computed, and is told as gone.
    """
    predictions, time = lakehouse.catalog.predictions, lakehouse.model.event_time
    span = lakehouse.store.span(predictions, time)
    if span is None:
        return
    with _scratch(lakehouse) as anew:
        recompute(anew, span[0].date(), span[1].date())
        version = _monitor_version(anew)
        for table in computed_tables(lakehouse):
            both = (lakehouse.store, anew.store)
            days = sorted(set.union(*(set(store.days(table)) for store in both)))
            starts = range(0, len(days), _DAYS_AT_ONCE)
            weeks = [days[start : start + _DAYS_AT_ONCE] for start in starts]
            for where in [NO_DAY, *map(on_days, weeks)]:
                old, new = (
                    by_key(store.rows(table, partitions=where), table.keys) for store in both
                )
                yield from _compared(table, old, new, version)


@contextmanager
def _scratch(lakehouse: Lakehouse) -> Iterator[Lakehouse]:
    """The lakehouse with empty metric tables that lie elsewhere, until the block ends."""
    catalog, store = lakehouse.catalog, lakehouse.store
    moved = (*computed_tables(lakehouse), catalog.monitor, catalog.table_commit)
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        names = frozenset(table.full_name for table in moved)
        scratch = ScratchStore(store.spark, store.root, catalog, scratch=folder, moved=names)
        scratch.create_missing()
        scratch.append_arrow(store.arrow(catalog.monitor), catalog.monitor)
        yield replace(lakehouse, store=scratch)


def _monitor_version(lakehouse: Lakehouse) -> int:
    rows = lakehouse.store.rows(lakehouse.catalog.monitor, columns=["monitor_version"])
    return max((row["monitor_version"] for row in rows), default=0)


def _compared(
    table: Table, old: Mapping[str, Row], new: Mapping[str, Row], version: int
) -> Iterator[Check]:
    """A check of each row that one of both has."""
    for key in sorted(old.keys() | new.keys()):
        row, computed = old.get(key), new.get(key)
        subject = f"{table.full_name}: {key}"
        if row is None:
            yield Check(WHAT, subject, DIFFERENT, "silver gives a row that gold lacks")
        elif row["monitor_version"] != version:
            yield Check(WHAT, subject, GONE)
        elif computed is None:
            yield Check(WHAT, subject, DIFFERENT, "silver gives no such row")
        else:
            names = differing_columns(row, computed, WHEN_COMPUTED)
            words = f"silver gives another {', '.join(names)}" if names else ""
            yield Check(WHAT, subject, DIFFERENT if names else SAME, words)
