"""Records put back: from bronze.kept_row, and from the lost lakehouse as far as it can be read."""

from collections.abc import Sequence

from lakehouse.errors import StoreError
from lakehouse.recovery.parts import operations, records
from lakehouse.storage.kept_rows import kept_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.plain_tables import read_at
from lakehouse.storage.store import Row
from lakehouse.tables import Table


def put_back(lakehouse: Lakehouse, lost: str) -> list[str]:
    """Put back the records of a lost lakehouse; return a sentence for each that cannot be read.

    Args:
        lakehouse: that has the lost one's bronze.
        lost: root of that one.
    """
    words: list[str] = []
    catalog = lakehouse.catalog
    for table in (*records(catalog), *operations(catalog)):
        kept = kept_rows(lakehouse, table) if table in records(catalog) else []
        try:
            there = rows_at(lost, table)
        except StoreError as error:
            there = []
            words.append(f"{error}; {_what_is_left(table, kept, lakehouse)}")
        rows = together(there, kept, table.keys)
        if rows:
            lakehouse.store.append_rows(rows, table)
    return words


def rows_at(root: str, table: Table) -> list[Row]:
    """The rows of a lakehouse's table that can be read.

    Raises:
        StoreError: it cannot be.
    """
    names = [column.name for column in table.columns]
    return list(read_at(root, table, None, names).to_pylist())


def together(there: Sequence[Row], kept: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """The rows of both, by their keys; of two of one key the kept one.

    >>> together([{"id": 1, "x": 2}, {"id": 2, "x": 2}], [{"id": 2, "x": 3}], ["id"])
    [{'id': 1, 'x': 2}, {'id': 2, 'x': 3}]
    """
    by_key = {tuple(row[key] for key in keys): row for row in [*there, *kept]}
    return list(by_key.values())


def _what_is_left(table: Table, kept: Sequence[Row], lakehouse: Lakehouse) -> str:
    if table in operations(lakehouse.catalog):
        return "it begins empty"
    return f"its {len(kept):,} rows come from {lakehouse.catalog.kept_row.full_name}"
