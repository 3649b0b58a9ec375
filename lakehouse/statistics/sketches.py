"""Mergeable summaries of many values: quantiles (KLL) and distinct counts (theta), from Apache DataSketches."""

from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from datasketches import compact_theta_sketch, kll_doubles_sketch, theta_union, update_theta_sketch

from lakehouse.statistics.hashing import with_least_hashes

KLL_K = 2048
"""Up to this many values are kept as they are; beyond, ranks are off by at most 0.14 % (99 % confidence)."""

REPRESENTATIVES = 2 * KLL_K

THETA_LG_K = 12
"""Up to 2**12 distinct values are counted exactly; beyond, the standard error is 1.6 %."""


def quantile_sketch(values: np.ndarray) -> bytes:
    """A KLL sketch of finite values.

    Beyond KLL_K values the library draws unseeded random numbers: two sketches of the same values then answer within
    the same error but not with the same bytes.
    """
    sketch = kll_doubles_sketch(KLL_K)
    sketch.update(values)
    return sketch.serialize()


def merged_quantiles(*sketches: bytes) -> bytes:
    """The sketch of all sketches' values; one call costs a fraction of merging pair by pair."""
    merged = kll_doubles_sketch.deserialize(sketches[0])
    for sketch in sketches[1:]:
        merged.merge(kll_doubles_sketch.deserialize(sketch))
    return merged.serialize()


@lru_cache(maxsize=256)
def representatives(sketch: bytes) -> np.ndarray:
    """Ascending values that each stand for an equal share of a quantile sketch's data; none for an empty sketch.

    Up to KLL_K values they are the data itself. Beyond there are at most REPRESENTATIVES of them, which adds 0.012 %
    to the error of ranks. Kept for the sketches read last, since a baseline is compared with every window.
    """
    # Asked for by rank: the library's iterator (5.2) gives weight 1 to every value of a sketch whose lowest level is
    # empty, which merged sketches' often is.
    kll = kll_doubles_sketch.deserialize(sketch)
    n = min(kll.n, REPRESENTATIVES)
    values = np.array(kll.get_quantiles((np.arange(n) + 0.5) / n) if n else [], dtype=np.float64)
    values.setflags(write=False)
    return values


def quantiles(sketch: bytes, steps: int = 1000) -> np.ndarray:
    """The quantiles i/steps for i in 0..steps-1; empty where the sketch is.

    The inverted CDF, averaged where it steps (Hyndman & Fan 1996, type 2; numpy's `averaged_inverted_cdf`): a quantile
    is a value that occurred, or the midpoint of two neighbours where exactly i/steps of the values lie under it. The
    middle element so is the usual median, for an even number of values too.
    """
    values = representatives(sketch)
    if not len(values):
        return values
    # Whole numbers: i/steps * n in floating point would miss the steps of the CDF.
    whole, rest = np.divmod(np.arange(steps) * len(values), steps)
    below = np.where(rest == 0, np.maximum(whole - 1, 0), whole)
    return (values[below] + values[whole]) / 2


def counts_in_bins(sketch: bytes, n: int, edges: Sequence[float]) -> tuple[int, ...]:
    """How many of a quantile sketch's n values are in each bin (see bins.quantile_edges): whole numbers that sum to n.

    Exact up to KLL_K values; beyond, the values up to any edge are off by at most the rank error of 0.15 %.
    """
    values = representatives(sketch)
    up_to_edge = np.searchsorted(values, np.asarray(edges, dtype=np.float64), side="right")
    # Rounded after summing: whole numbers that rise from edge to edge leave no bin with less than nothing.
    up_to_edge = np.rint(up_to_edge * (n / max(len(values), 1))).astype(np.int64)
    return tuple(np.diff(up_to_edge, prepend=0, append=n).tolist())


def distinct_sketch(values: Iterable[int | float | str] | np.ndarray) -> bytes:
    """A theta sketch of values; the same for any order, repetition or split of the same values.

    Arrays of numbers (which should be distinct) take no loop over more values than the sketch keeps.
    """
    # One more than it keeps, which is the first that it does not: the sketch estimates by it.
    kept = with_least_hashes(values, 2**THETA_LG_K + 1).tolist() if isinstance(values, np.ndarray) else values
    sketch = update_theta_sketch(THETA_LG_K)
    deque(map(sketch.update, kept), maxlen=0)
    # Trimmed to the k smallest hashes, which depend on the set alone.
    sketch.trim()
    return sketch.compact().serialize()


def merged_distinct(*sketches: bytes) -> bytes:
    """The sketch of the union of all sketches' values; one call costs a fraction of merging pair by pair."""
    union = theta_union(THETA_LG_K)
    for sketch in sketches:
        union.update(compact_theta_sketch.deserialize(sketch))
    return union.get_result().serialize()


def distinct_count(sketch: bytes) -> int:
    """How many distinct values a theta sketch has seen, to its standard error."""
    return round(compact_theta_sketch.deserialize(sketch).get_estimate())
