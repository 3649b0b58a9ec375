"""How far a column has moved from a reference, by additive facts and not by raw rows."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from lakehouse.drift import distances, two_samples
from lakehouse.profiling.profile import ColumnProfile

Measure = Callable[[np.ndarray, np.ndarray], Any]

_OVER_BINS: dict[str, Measure] = {
    "ks_test": two_samples.ks_test,
    "population_stability_index": distances.population_stability_index,
}
_OVER_CATEGORIES: dict[str, Measure] = {
    "js_distance": distances.js_distance,
    "chi_squared_test": two_samples.chi_squared_test,
    "tv_distance": distances.tv_distance,
    "l_infinity_distance": distances.l_infinity_distance,
}
_OVER_BOTH: dict[str, Measure] = {
    "hellinger_distance": distances.hellinger_distance,
    "kl_divergence": distances.kl_divergence,
}
_OVER_SKETCHES = ("wasserstein_distance", "mann_whitney_test", "levene_test")

NUMERIC_DISTANCES = (*_OVER_BINS, *_OVER_SKETCHES)
CATEGORICAL_DISTANCES = tuple(_OVER_CATEGORIES)
COMMON_DISTANCES = tuple(_OVER_BOTH)
"""Of numeric columns over the bins, of categorical ones over the categories."""


def drift_of(current: ColumnProfile, reference: ColumnProfile) -> dict[str, Any]:
    """One column's comparison, by column of `drift_metrics`; deltas are current minus reference.

    Numeric columns have KS, Wasserstein, PSI, Mann-Whitney and Levene, categorical ones
    chi-squared, total variation, L-infinity and Jensen-Shannon, both Hellinger and
    Kullback-Leibler; the others are None. So are all of them where a side has no values, those from
    bins where a side was profiled without, those from categories where values are too many to be
    counted one by one, and Levene where it is not defined.

    Raises:
        ValueError: The profiles are of different columns, or counted in different bins.
    """
    if current.spec != reference.spec:
        raise ValueError(
            f"Different columns cannot be compared: {current.spec} and {reference.spec}."
        )
    measure = _categorical_distances if current.spec.is_categorical else _numeric_distances
    return {
        **_deltas(current, reference),
        **dict.fromkeys(NUMERIC_DISTANCES + CATEGORICAL_DISTANCES + COMMON_DISTANCES),
        **measure(current, reference),
    }


def non_null_columns_delta(current: Iterable[str], reference: Iterable[str]) -> dict[str, int]:
    """Return how many columns gained their first values (`added`), and lost all (`missing`)."""
    now, before = set(current), set(reference)
    return {"added": len(now - before), "missing": len(before - now)}


def main_pvalue(row: Mapping[str, Any]) -> float | None:
    """The p-value that stands for a column: of KS if numeric, of chi-squared if categorical.

    One test a column, so that `two_samples.adjusted_pvalues` over the columns of one comparison
    counts each once.
    """
    test = row["ks_test"] or row["chi_squared_test"]
    return test["pvalue"] if test else None


def _deltas(current: ColumnProfile, reference: ColumnProfile) -> dict[str, Any]:
    deltas: dict[str, Any] = {
        "count_delta": current.count - reference.count,
        "avg_delta": _difference(current.avg, reference.avg),
    }
    now, before = _percents(current), _percents(reference)
    return deltas | {f"percent_{name}_delta": _difference(now[name], before[name]) for name in now}


def _percents(profile: ColumnProfile) -> dict[str, float | None]:
    return {
        "null": profile.percent(profile.num_nulls),
        "zeros": None if profile.spec.is_text else profile.percent(profile.num_zeros),
        "distinct": profile.percent(profile.distinct_count),
    }


def _difference(current: float | None, reference: float | None) -> float | None:
    return None if current is None or reference is None else current - reference


def _numeric_distances(current: ColumnProfile, reference: ColumnProfile) -> dict[str, Any]:
    if not (current.moments.n and reference.moments.n):
        return {}
    return {**_by_sketches(current, reference), **_by_bins(current, reference)}


def _by_sketches(current: ColumnProfile, reference: ColumnProfile) -> dict[str, Any]:
    sketch, sketch_before = current.quantile_sketch, reference.quantile_sketch
    assert sketch is not None and sketch_before is not None
    now = two_samples.Sample.of(sketch, current.moments)
    before = two_samples.Sample.of(sketch_before, reference.moments)
    return {
        "wasserstein_distance": distances.wasserstein_distance(sketch, sketch_before),
        "mann_whitney_test": two_samples.mann_whitney_test(now, before),
        "levene_test": two_samples.levene_test(now, before),
    }


def _by_bins(current: ColumnProfile, reference: ColumnProfile) -> dict[str, Any]:
    if current.bin_counts is None or reference.bin_counts is None:
        return {}
    if current.bin_edges != reference.bin_edges:
        raise ValueError(
            f"Profiles of column {current.spec.name!r} count in different bins and cannot be "
            "compared: profile the current rows with the reference's edges."
        )
    counts = np.array(current.bin_counts), np.array(reference.bin_counts)
    return {name: measure(*counts) for name, measure in (_OVER_BINS | _OVER_BOTH).items()}


def _categorical_distances(current: ColumnProfile, reference: ColumnProfile) -> dict[str, Any]:
    if not current.items or not reference.items:
        return {}
    categories = sorted(current.items.keys() | reference.items.keys())
    now = np.array([current.items.get(category, 0) for category in categories])
    before = np.array([reference.items.get(category, 0) for category in categories])
    measures = _OVER_CATEGORIES | _OVER_BOTH
    return {name: measure(now, before) for name, measure in measures.items()}
