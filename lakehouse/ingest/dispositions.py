"""What becomes of a valid row: accepted, or a duplicate, a conflict or a correction."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.settings.reserved import POSITION

ACCEPTED = "accepted"
CONFLICT = "conflict"
CORRECTION = "correction"
DUPLICATE = "duplicate"
KNOWN = "known"  # silver has this very line already: a replay


def dispositions(rows: pa.Table, held: pa.Table, key: str, values: Sequence[str]) -> np.ndarray:
    """Return what becomes of each row.

    What silver holds comes before any of the rows. A later row with the values of the first one of
    its key is a duplicate, with other values a conflict.

    >>> rows = pa.table({"id": [1, 2, 2, 3], "x": [5, 6, 6, 7],
    ...                  "source_file": ["b"] * 4, "line": [0, 1, 2, 3],
    ...                  "landed_file_id": [9] * 4})
    >>> held = pa.table({"id": [1, 3], "x": [0, 7], "source_file": ["a", "b"], "line": [0, 3],
    ...                  "landed_file_id": [8, 9]})
    >>> dispositions(rows, held, "id", ["id", "x"]).tolist()
    ['conflict', 'accepted', 'duplicate', 'known']

    Args:
        rows: that break no rule, in the order of landing, file and line.
        held: silver's rows that share a key with them; of other keys they change nothing.
        key: column that names a row.
        values: columns of the line.
    """
    both = _together(rows, held, [key, *values])
    codes = both[key].combine_chunks().dictionary_encode().indices.to_numpy()
    first = _first_places(codes)
    is_first = first == np.arange(len(both))
    is_known = _are_as(both, first, POSITION)
    is_repeated = _are_as(both, first, values)
    result = np.select([is_first, is_known, is_repeated], [ACCEPTED, KNOWN, DUPLICATE], CONFLICT)
    return result[len(held) :]


def with_corrections(rows: pa.Table, held: pa.Table, key: str, values: Sequence[str]) -> np.ndarray:
    """The same, where a later row with other values corrects the ones before.

    A row that says again what any row before it said is a duplicate.

    >>> rows = pa.table({"id": [1, 1, 1], "x": [6, 5, 6],
    ...                  "source_file": ["b"] * 3, "line": [0, 1, 2],
    ...                  "landed_file_id": [9] * 3})
    >>> held = pa.table({"id": [1], "x": [5],
    ...                  "source_file": ["a"], "line": [0], "landed_file_id": [8]})
    >>> with_corrections(rows, held, "id", ["id", "x"]).tolist()
    ['correction', 'duplicate', 'duplicate']
    """
    result = dispositions(rows, held, key, values)
    if not (result == CONFLICT).any():
        return result
    both = _together(rows, held, [key, *values])
    codes = (
        both.select(list(values))
        .to_pandas()
        .groupby(list(values), dropna=False, sort=False)
        .ngroup()
        .to_numpy()
    )
    first = _first_places(codes)
    is_first = first == np.arange(len(both))
    among_all = np.select(
        [is_first, _are_as(both, first, POSITION)], [CORRECTION, KNOWN], DUPLICATE
    )
    return np.where(result == CONFLICT, among_all[len(held) :], result)


def _together(rows: pa.Table, held: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return the rows of silver, followed by the given ones."""
    names = list(dict.fromkeys([*columns, *POSITION]))
    return pa.concat_tables([held.select(names), rows.select(names)]).combine_chunks()


def _first_places(codes: np.ndarray) -> np.ndarray:
    """For each row, the place of the first one with its code."""
    _, first = np.unique(codes, return_index=True)
    return np.asarray(first[codes])


def _are_as(table: pa.Table, others: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """Return whether each row equals the row at the other place; null equals null."""
    same = np.ones(len(table), dtype=bool)
    for name in columns:
        column = table[name].combine_chunks()
        other = column.take(pa.array(others))
        both_null = pc.and_(column.is_null(), other.is_null())
        equal = pc.or_(pc.fill_null(pc.equal(column, other), False), both_null)
        same &= equal.to_numpy(zero_copy_only=False)
    return same
