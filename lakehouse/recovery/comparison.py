"""What was made again against what was there, row by row."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.errors import StoreError
from lakehouse.recovery.parts import WHEN_MADE, computed, from_lines, from_versions, records
from lakehouse.recovery.records import rows_at
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.store import Row
from lakehouse.tables import Table
from lakehouse.tables.row_comparison import by_key, differing_columns


@dataclass(frozen=True)
class Compared:
    """A table against the one that was there.

    Attributes:
        name: of the table.
        rows: that it has.
        differences: in words; None where the one that was there cannot be read.
    """

    name: str
    rows: int
    differences: tuple[str, ...] | None

    @property
    def is_same(self) -> bool:
        """Whether nothing is known to differ."""
        return not self.differences

    def __str__(self) -> str:
        head = f"{self.name}: {self.rows:,} rows"
        if self.differences is None:
            return f"{head}; what was there cannot be read"
        return "; ".join((head, *(self.differences or ("the same",))))


def compare(lakehouse: Lakehouse, before: str) -> list[Compared]:
    """Each table that was made again against the one of the lakehouse at another root."""
    catalog = lakehouse.catalog
    by_spark = (*from_lines(catalog), *from_versions(catalog))
    on_driver = (*records(catalog), *computed(catalog))
    return [
        *(_compared_by_spark(lakehouse, before, table) for table in by_spark),
        *(_compared_here(lakehouse, before, table) for table in on_driver),
    ]


def _compared_by_spark(lakehouse: Lakehouse, before: str, table: Table) -> Compared:
    """Tables of any size: rows as texts, counted."""
    store, path = lakehouse.store, table.path_in(before)
    found, rows = _as_texts(store.read(table), table), store.count(table)
    try:
        there = _as_texts(lakehouse.spark.read.format("delta").load(path), table)
        lost, added = there.exceptAll(found).count(), found.exceptAll(there).count()
    except (PySparkException, Py4JJavaError):  # what Delta raises is not always translated
        return Compared(table.full_name, rows, None)
    return Compared(table.full_name, rows, _differences(lost, added))


def _as_texts(rows: DataFrame, table: Table) -> DataFrame:
    names = [column.name for column in table.columns if column.name in rows.columns]
    return rows.select(F.to_json(F.struct(*names)).alias("row"))


def _differences(lost: int, added: int) -> tuple[str, ...]:
    return (
        *([f"{lost:,} rows that were there are not"] if lost else []),
        *([f"{added:,} rows were not there"] if added else []),
    )


def _compared_here(lakehouse: Lakehouse, before: str, table: Table) -> Compared:
    left_out = WHEN_MADE if table in computed(lakehouse.catalog) else frozenset()
    found = lakehouse.store.rows(table)
    try:
        there = rows_at(before, table)
    except StoreError:
        return Compared(table.full_name, len(found), None)
    return Compared(
        table.full_name, len(found), tuple(differences(there, found, table.keys, left_out))
    )


def differences(
    there: Sequence[Row], found: Sequence[Row], keys: Sequence[str], left_out: Iterable[str] = ()
) -> list[str]:
    """In words, how rows differ from those that were there; numbers may by rounding.

    >>> differences([{"id": 1, "x": 0.3, "at": 1}, {"id": 2, "x": 1.0, "at": 1}],
    ...             [{"id": 1, "x": 0.1 + 0.2, "at": 2}, {"id": 3, "x": 1.0, "at": 2}],
    ...             ["id"], ["at"])
    ['1 rows that were there are not', '1 rows were not there']
    >>> differences([{"id": 1, "x": 0.3}], [{"id": 1, "x": 0.4}], ["id"])
    ['x differs in 1 rows, first of {"id": 1}']
    """
    before, now = by_key(there, keys), by_key(found, keys)
    differs: Counter[str] = Counter()
    first: dict[str, str] = {}
    for key in sorted(before.keys() & now.keys()):
        for name in differing_columns(before[key], now[key], left_out):
            differs[name] += 1
            first.setdefault(name, key)
    words = [
        f"{name} differs in {count:,} rows, first of {first[name]}"
        for name, count in sorted(differs.items())
    ]
    return [*_differences(len(before.keys() - now.keys()), len(now.keys() - before.keys())), *words]
