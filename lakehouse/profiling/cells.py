"""What is measured of a column's cells, in one sort of numbers or one pass over text."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.profiling.bins import sorted_bin_counts
from lakehouse.profiling.columns import as_doubles, raw_numbers_of
from lakehouse.profiling.moments import Moments
from lakehouse.profiling.sketches import distinct_sketch, quantile_sketch


def number_facts(cells: pa.Array, edges: Iterable[float] | None, kept: int) -> dict[str, Any]:
    """Measures of non-null numbers, booleans or timestamps, by field of `ColumnProfile`."""
    inner = None if edges is None else tuple(map(float, edges))
    # Whole numbers and timestamps above 2**53 are distinct as they are, not as doubles.
    distinct, numbers = _sorted_numbers(cells)
    # NaN comes last of all.
    first = np.searchsorted(numbers, -np.inf, side="right")
    finite = numbers[first : np.searchsorted(numbers, np.inf, side="left")]
    return {
        "num_nan": int(np.isnan(numbers).sum()),
        "num_zeros": len(numbers) - int(np.count_nonzero(numbers)),
        "moments": Moments.of(finite),
        "min": float(finite[0]) if len(finite) else None,
        "max": float(finite[-1]) if len(finite) else None,
        "bin_edges": inner,
        "bin_counts": None if inner is None else tuple(sorted_bin_counts(finite, inner).tolist()),
        "quantile_sketch": quantile_sketch(finite, kept),
        "distinct_sketch": distinct_sketch(distinct),
    }


def text_facts(counted: pa.StructArray) -> dict[str, Any]:
    """Measures of non-null text, each counted once, by field of `ColumnProfile`."""
    values, counts = counted.field(0), counted.field(1).to_numpy()
    lengths = pc.utf8_length(values).to_numpy(zero_copy_only=False)
    # A theta sketch passes over empty strings: marked, no text is empty.
    marked = pc.binary_join_element_wise("=", values, "")
    return {
        "min_length": int(lengths.min()) if len(lengths) else None,
        "max_length": int(lengths.max()) if len(lengths) else None,
        "total_length": int(lengths.astype(np.int64) @ counts),
        "distinct_sketch": distinct_sketch(marked.to_pylist()),
    }


def _sorted_numbers(cells: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values as they are, and all of them as ascending doubles."""
    values = np.sort(raw_numbers_of(cells))
    distinct = values[np.append(True, values[1:] != values[:-1])] if len(values) else values
    return distinct, as_doubles(values, cells.type)
