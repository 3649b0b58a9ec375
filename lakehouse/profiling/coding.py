"""Values of few kinds as codes and texts, so that a million rows cost no loop over them."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.profiling.columns import text_of

Values: TypeAlias = Sequence[Any] | np.ndarray | pd.Series | pa.Array | pa.ChunkedArray
"""Cells of any container; None, NaN and NA are missing."""


class Coded(NamedTuple):
    """Values as numbers of their texts.

    Attributes:
        codes: For each value the place of its text in `texts`; -1 where it is missing.
        texts: Each text once.
    """

    codes: np.ndarray
    texts: tuple[str, ...]

    def places_in(self, texts: Sequence[str]) -> np.ndarray:
        """For each value the place of its text in other texts; -1 if missing or not there."""
        places = {text: place for place, text in enumerate(texts)}
        # The last one is what the code -1 of a missing value points to.
        return np.array([*(places.get(text, -1) for text in self.texts), -1])[self.codes]


def coded(values: Values) -> Coded:
    """The values' codes, with one text for values that are written alike (1, 1.0 and "1")."""
    codes, distinct = (
        _arrow_codes(values) if isinstance(values, pa.Array | pa.ChunkedArray) else _codes(values)
    )
    own = [text_of(value) for value in distinct]
    texts = tuple(dict.fromkeys(own))
    return Coded(Coded(codes, tuple(own)).places_in(texts), texts)


def _codes(values: Sequence[Any] | np.ndarray | pd.Series) -> tuple[np.ndarray, Sequence[Any]]:
    # A list's numbers would become floats where one is missing, and whole numbers above 2**53
    # others.
    typed = isinstance(values, np.ndarray | pd.Series)
    return pd.factorize(pd.Series(values, dtype=None if typed else object))


def _arrow_codes(values: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, Sequence[Any]]:
    cells = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_floating(cells.type):
        cells = pc.if_else(pc.is_nan(cells), None, cells)
    encoded = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()
