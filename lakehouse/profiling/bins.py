"""Histogram bins from a baseline's quantiles, open at both ends so that every value fits."""

import numpy as np


def quantile_edges(values: np.ndarray, n_bins: int = 20) -> tuple[float, ...]:
    """The inner edges of bins that hold equal shares of the baseline: n edges make n + 1 bins.

    Bin i holds edges[i-1] < x <= edges[i]; the first bin reaches down to minus infinity, the last
    up to infinity. Only finite values count. Equal quantiles are one edge. Where the lowest edge is
    the minimum itself, an edge just under it gives values below the baseline's range a bin of their
    own (so there can be one bin more than asked for), and where all distinct values fit into the
    bins each value has its own: a constant has three bins.

    Returns:
        Strictly increasing edges; none where there is no finite value.

    Raises:
        ValueError: Fewer than two bins.
    """
    if n_bins < 2:
        raise ValueError(f"Write at least 2 bins, not {n_bins}.")
    finite = np.sort(_finite(values))
    if not len(finite):
        return ()
    distinct = np.unique(finite)
    if len(distinct) > n_bins - 2:
        # The inverted CDF returns values that occurred, so that an edge never splits equal values.
        distinct = np.unique(
            np.quantile(finite, np.arange(1, n_bins) / n_bins, method="inverted_cdf")
        )
    with np.errstate(over="ignore"):  # nothing is below the least double
        below = np.nextafter(finite[0], -np.inf)
    if distinct[0] == finite[0] and np.isfinite(below):
        distinct = np.concatenate([[below], distinct])
    return tuple(distinct.tolist())


def bin_counts(values: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """Count the finite values in each bin of `quantile_edges` (int64, one more than edges)."""
    return sorted_bin_counts(np.sort(_finite(values)), edges)


def sorted_bin_counts(finite: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """`bin_counts` of sorted finite values: one look-up per edge instead of one per value."""
    up_to_edge = np.searchsorted(finite, np.asarray(edges, dtype=np.float64), side="right")
    return np.diff(up_to_edge, prepend=0, append=len(finite)).astype(np.int64)


def _finite(values: np.ndarray) -> np.ndarray:
    numbers = np.asarray(values, dtype=np.float64)
    return numbers[np.isfinite(numbers)]
