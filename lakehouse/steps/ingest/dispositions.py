"""What becomes of a valid row: the first of its key is accepted, a later one is a duplicate or a conflict."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.steps.ingest.lines import POSITION

ACCEPTED = "accepted"
CONFLICT = "conflict"
DUPLICATE = "duplicate"
KNOWN = "known"  # silver has this very line already: a replay


def dispositions(rows: pa.Table, held: pa.Table, key: str, values: Sequence[str]) -> np.ndarray:
    """What becomes of each row.

    What silver holds comes before any of the rows. A later row with the values of the first one of its key is a
    duplicate, with other values a conflict.

    >>> rows = pa.table({"id": [1, 2, 2, 3], "x": [5, 6, 6, 7], "source_file": ["b"] * 4, "line": [0, 1, 2, 3],
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
    columns = list(dict.fromkeys([key, *values, *POSITION]))
    both = pa.concat_tables([held.select(columns), rows.select(columns)]).combine_chunks()
    codes = both[key].combine_chunks().dictionary_encode().indices.to_numpy()
    _, first_of_code = np.unique(codes, return_index=True)
    first = first_of_code[codes]
    is_first = first == np.arange(len(both))
    is_known = _are_as(both, first, POSITION)
    is_repeated = _are_as(both, first, values)
    found = np.select([is_first, is_known, is_repeated], [ACCEPTED, KNOWN, DUPLICATE], CONFLICT)
    return found[len(held) :]


def _are_as(table: pa.Table, others: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """Whether each row has the same values as the row at the other place; null is as null."""
    same = np.ones(len(table), dtype=bool)
    for name in columns:
        column = table[name].combine_chunks()
        other = column.take(pa.array(others))
        both_null = pc.and_(column.is_null(), other.is_null())
        same &= pc.or_(pc.fill_null(pc.equal(column, other), False), both_null).to_numpy(zero_copy_only=False)
    return same
