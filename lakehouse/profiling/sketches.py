"""Mergeable summaries: quantiles (a histogram of values), distinct counts (a theta sketch).

Both depend on the values alone: the same values give the same bytes, in whatever order and split
they come.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from datasketches import compact_theta_sketch, kll_doubles_sketch, theta_union, update_theta_sketch

from lakehouse.profiling.hashing import with_least_hashes
from lakehouse.profiling.value_histogram import ValueHistogram, is_value_histogram

WINDOW_VALUES = 2048
"""A window's distinct values are kept as they are up to this many; beyond, in as many buckets."""

BASELINE_VALUES = 16_384
"""The same of a baseline, which there are few of."""

REPRESENTATIVES = 4096
"""Values that stand for more than a baseline keeps; this adds 0.012 % to the error of ranks."""

THETA_LG_K = 12
"""Up to 2**12 distinct values are counted exactly; beyond, the standard error is 1.6 %."""


def quantile_sketch(values: np.ndarray, kept: int = WINDOW_VALUES) -> bytes:
    """A summary of finite values that knows their quantiles.

    Args:
        values: in any order.
        kept: distinct values up to which it is exact.
    """
    return ValueHistogram.of(values, kept).to_bytes()


def merged_quantiles(*sketches: bytes) -> bytes:
    """The summary of all summaries' values, the same in whatever order they are merged."""
    return ValueHistogram.merged(*map(_opened, sketches)).to_bytes()


def is_exact(sketch: bytes) -> bool:
    """Return whether `representatives` are the values themselves."""
    histogram = _opened(sketch)
    return histogram.is_exact and histogram.n <= BASELINE_VALUES


def weighted_values(sketch: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Ascending values, and how many values each stands for: what a mean over them is taken of."""
    histogram = _opened(sketch)
    return histogram.middles, histogram.counts


@lru_cache(maxsize=256)
def representatives(sketch: bytes) -> np.ndarray:
    """Ascending values that each stand for an equal share of the data; none for an empty summary.

    Up to BASELINE_VALUES values there is one for each, beyond there are REPRESENTATIVES. Kept for
    the summaries read last, since a baseline is compared with every window.
    """
    histogram = _opened(sketch)
    n = histogram.n
    size = n if n <= BASELINE_VALUES else REPRESENTATIVES
    places = (np.arange(size) + 0.5) / max(size, 1) * n - 0.5
    values = histogram.order_statistics(np.arange(n) if size == n else places)
    values.setflags(write=False)
    return values


def quantiles(sketch: bytes, steps: int = 1000) -> np.ndarray:
    """The quantiles i/steps for i in 0..steps-1; empty where the summary is.

    The inverted CDF, averaged where it steps (Hyndman & Fan 1996, type 2; numpy's
    `averaged_inverted_cdf`): a quantile is a value that occurred, or the midpoint of two neighbours
    where exactly i/steps of the values lie under it. The middle element so is the usual median, for
    an even number of values too.
    """
    histogram = _opened(sketch)
    if not histogram.n:
        return np.empty(0)
    # Whole numbers: i/steps * n in floating point would miss the steps of the CDF.
    whole, rest = np.divmod(np.arange(steps) * histogram.n, steps)
    below = np.where(rest == 0, np.maximum(whole - 1, 0), whole)
    return (histogram.order_statistics(below) + histogram.order_statistics(whole)) / 2


def counts_in_bins(sketch: bytes, n: int, edges: Sequence[float]) -> tuple[int, ...]:
    """Count a summary's n values by bin (see bins.quantile_edges), in whole numbers.

    Exact where the summary is; beyond, values of a bucket that an edge lies in are taken to lie
    evenly in it.
    """
    up_to_edge = _opened(sketch).count_up_to(np.asarray(edges, dtype=np.float64))
    return tuple(np.diff(up_to_edge, prepend=0, append=n).tolist())


@lru_cache(maxsize=256)
def _opened(sketch: bytes) -> ValueHistogram:
    """The histogram; of a release before 0.3 that of a KLL sketch's representatives."""
    if is_value_histogram(sketch):
        return ValueHistogram.from_bytes(sketch)
    # Asked for by rank: the library's iterator (5.2) gives weight 1 to every value of a sketch
    # whose lowest level is empty, which merged sketches' often is.
    kll = kll_doubles_sketch.deserialize(sketch)
    values = np.array(
        kll.get_quantiles((np.arange(kll.n) + 0.5) / kll.n) if kll.n else [], dtype=np.float64
    )
    return ValueHistogram.of(values, BASELINE_VALUES)


def distinct_sketch(values: Iterable[int | float | str] | np.ndarray) -> bytes:
    """A theta sketch of values; the same for any order, repetition or split of the same values.

    Arrays of numbers (which should be distinct) take no loop over more values than the sketch
    keeps.
    """
    # One more than it keeps, which is the first that it does not: the sketch estimates by it.
    if isinstance(values, np.ndarray):
        values = with_least_hashes(values, 2**THETA_LG_K + 1).tolist()
    sketch = update_theta_sketch(THETA_LG_K)
    deque(map(sketch.update, values), maxlen=0)
    # Trimmed to the k smallest hashes, which depend on the set alone.
    sketch.trim()
    return sketch.compact().serialize()


def merged_distinct(*sketches: bytes) -> bytes:
    """The sketch of the union of all values; one call is far cheaper than merging pairwise."""
    union = theta_union(THETA_LG_K)
    for sketch in sketches:
        union.update(compact_theta_sketch.deserialize(sketch))
    return union.get_result().serialize()


def distinct_count(sketch: bytes) -> int:
    """Return how many distinct values a theta sketch has seen, to its standard error."""
    return round(compact_theta_sketch.deserialize(sketch).get_estimate())
