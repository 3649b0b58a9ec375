"""What is measured of a column's cells, in one sort of numbers or one pass over text."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.statistics.bins import sorted_bin_counts
from lakehouse.statistics.columns import numbers_of
from lakehouse.statistics.moments import Moments
from lakehouse.statistics.sketches import distinct_sketch, quantile_sketch


def number_facts(cells: pa.Array, edges: Iterable[float] | None) -> dict[str, Any]:
    """What is measured of non-null numbers, booleans or timestamps, by the name of profile.ColumnProfile's field."""
    inner = None if edges is None else tuple(map(float, edges))
    numbers = np.sort(numbers_of(cells))
    finite = numbers[np.isfinite(numbers)]
    is_floating = pa.types.is_floating(cells.type)
    return {
        "num_nan": int(np.isnan(numbers).sum()),
        "num_zeros": len(numbers) - int(np.count_nonzero(numbers)),
        "moments": Moments.of(finite),
        "min": float(finite[0]) if len(finite) else None,
        "max": float(finite[-1]) if len(finite) else None,
        "bin_edges": inner,
        "bin_counts": None if inner is None else tuple(sorted_bin_counts(finite, inner).tolist()),
        "quantile_sketch": quantile_sketch(finite),
        # Whole numbers and timestamps above 2**53 are distinct as they are, not as doubles.
        "distinct_sketch": distinct_sketch((numbers if is_floating else _whole_numbers(cells)).tolist()),
    }


def text_facts(cells: pa.Array) -> dict[str, Any]:
    """What is measured of non-null text, by the name of profile.ColumnProfile's field."""
    lengths = pc.utf8_length(cells).to_numpy(zero_copy_only=False)
    return {
        "min_length": int(lengths.min()) if len(lengths) else None,
        "max_length": int(lengths.max()) if len(lengths) else None,
        "total_length": int(lengths.sum(dtype=np.int64)),
        # A theta sketch passes over empty strings: marked, no text is empty.
        "distinct_sketch": distinct_sketch("=" + text for text in pc.unique(cells).to_pylist()),
    }


def _whole_numbers(cells: pa.Array) -> np.ndarray:
    integers = cells.view(pa.int64()) if pa.types.is_timestamp(cells.type) else cells
    return np.unique(integers.to_numpy(zero_copy_only=False))
