from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, entropy, ks_2samp
from scipy.stats import wasserstein_distance as scipy_wasserstein

from lakehouse.drift.comparison import (
    CATEGORICAL_DISTANCES,
    COMMON_DISTANCES,
    NUMERIC_DISTANCES,
    drift_of,
    main_pvalue,
    non_null_columns_delta,
)
from lakehouse.drift.two_samples import EXACT_KS_PAIRS
from lakehouse.profiling.bins import bin_counts, quantile_edges
from lakehouse.profiling.profile import ColumnProfile, ColumnSpec, statistics_of

TEMP = ColumnSpec("temp", "double", "numeric")
GRADE = ColumnSpec("grade", "string", "categorical")


def _pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Current and reference values."""
    rng = np.random.default_rng(21)
    normal = rng.normal(350, 6, 1800)
    return {
        "same distribution": (rng.normal(350, 6, 900), normal),
        "shifted": (rng.normal(353, 6, 700), normal),
        "wholly above the range": (rng.normal(900, 6, 300), normal),
        "wholly below the range": (rng.normal(-900, 6, 300), normal),
        "one row": (np.array([351.0]), normal),
        "heavy tails": (rng.standard_cauchy(500), rng.standard_cauchy(1500)),
        "constants": (np.full(30, 2.0), np.full(50, 1.0)),
        "few values": (
            rng.integers(0, 3, 200).astype(float),
            rng.integers(0, 5, 400).astype(float),
        ),
        "identical": (normal, normal),
    }


PAIRS = _pairs()
each_pair = pytest.mark.parametrize("name", PAIRS)


def _numeric_drift(current: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    edges = quantile_edges(reference)
    return drift_of(
        *(ColumnProfile.of(pd.Series(side), TEMP, edges) for side in (current, reference))
    )


def _grades(counts: dict[str, int]) -> ColumnProfile:
    return ColumnProfile.of(
        pd.Series([grade for grade, n in counts.items() for _ in range(n)], dtype=object), GRADE
    )


def _binned(values: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """Each value replaced by its bin: what the counts know of it."""
    return np.searchsorted(edges, values, side="left")


@each_pair
def test_ks_is_scipys_on_the_binned_values(name: str):
    current, reference = PAIRS[name]
    edges = quantile_edges(reference)
    method = "exact" if len(current) * len(reference) <= EXACT_KS_PAIRS else "asymp"
    expected = ks_2samp(_binned(current, edges), _binned(reference, edges), method=method)
    test = _numeric_drift(current, reference)["ks_test"]
    assert test["statistic"] == pytest.approx(expected.statistic, abs=1e-12)
    assert test["pvalue"] == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)


@each_pair
def test_ks_is_under_that_of_the_raw_values_by_at_most_the_largest_bin(name: str):
    current, reference = PAIRS[name]
    edges = quantile_edges(reference)
    largest = max((bin_counts(side, edges) / len(side)).max() for side in (current, reference))
    raw = ks_2samp(current, reference, method="asymp").statistic
    statistic = _numeric_drift(current, reference)["ks_test"]["statistic"]
    assert raw - largest - 1e-12 <= statistic <= raw + 1e-12


def test_the_smallest_samples_have_a_p_value():
    assert _numeric_drift(np.array([5.0]), np.array([1.0]))["ks_test"] == {
        "statistic": 1.0,
        "pvalue": 1.0,
    }


@each_pair
def test_wasserstein_is_scipys_on_the_raw_values(name: str):
    current, reference = PAIRS[name]
    expected = scipy_wasserstein(current, reference)
    scale = np.ptp(np.concatenate([current, reference]))
    assert _numeric_drift(current, reference)["wasserstein_distance"] == pytest.approx(
        expected, abs=1e-12 * scale
    )


@each_pair
def test_psi_is_the_sum_over_floored_shares_of_the_raw_values(name: str):
    current, reference = PAIRS[name]
    index, lower = 0.0, -np.inf
    for upper in [*quantile_edges(reference), np.inf]:
        p, q = (
            max(np.mean((side > lower) & (side <= upper)), 1e-4) for side in (current, reference)
        )
        index += (p - q) * np.log(p / q)
        lower = upper
    assert _numeric_drift(current, reference)["population_stability_index"] == pytest.approx(
        index, rel=1e-12, abs=1e-15
    )


def test_psi_sees_values_on_either_side_of_the_baselines_range():
    for name in ("wholly above the range", "wholly below the range", "constants"):
        assert _numeric_drift(*PAIRS[name])["population_stability_index"] > 2, name
    assert _numeric_drift(*PAIRS["same distribution"])["population_stability_index"] < 0.1


@pytest.mark.parametrize("seed", range(12))
def test_categorical_distances_are_scipys_on_the_contingency_table(seed: int):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 40, (2, int(rng.integers(2, 12))))
    table[:, 0] = rng.permutation([0, 7])
    current, reference = (_grades({f"g{i}": int(n) for i, n in enumerate(row)}) for row in table)
    seen = table[:, table.sum(axis=0) > 0]
    p, q = seen[0] / seen[0].sum(), seen[1] / seen[1].sum()
    expected = chi2_contingency(seen, correction=False)
    drift = drift_of(current, reference)
    assert drift["chi_squared_test"]["statistic"] == pytest.approx(expected.statistic, rel=1e-12)
    assert drift["chi_squared_test"]["pvalue"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert drift["js_distance"] == pytest.approx(jensenshannon(p, q), rel=1e-9)
    assert drift["tv_distance"] == pytest.approx(np.abs(p - q).sum() / 2)
    assert drift["l_infinity_distance"] == pytest.approx(np.abs(p - q).max())


def test_categories_without_overlap_are_as_far_as_distances_go():
    drift = drift_of(_grades({"a": 5}), _grades({"b": 9}))
    assert drift["js_distance"] == pytest.approx(np.sqrt(np.log(2)))
    assert (drift["tv_distance"], drift["l_infinity_distance"], drift["hellinger_distance"]) == (
        1.0,
        1.0,
        1.0,
    )
    assert 9 < drift["kl_divergence"] < np.log(1e4)


@pytest.mark.parametrize("seed", range(4))
def test_hellinger_and_kl_are_over_the_shares_of_bins_or_categories(seed: int):
    rng = np.random.default_rng(seed)
    current, reference = rng.normal(seed, 1, 300), rng.normal(0, 2, 700)
    edges = (*quantile_edges(reference),)
    binned = [_binned(side, edges) for side in (current, reference)]
    drift = _numeric_drift(current, reference)
    same = drift_of(
        *(_grades({str(k): n for k, n in enumerate(np.bincount(side).tolist())}) for side in binned)
    )
    p, q = (np.bincount(side, minlength=len(edges) + 1) / len(side) for side in binned)
    assert drift["hellinger_distance"] == pytest.approx(np.sqrt(1 - np.sqrt(p * q).sum()), rel=1e-9)
    p, q = (np.maximum(side, 1e-4) / np.maximum(side, 1e-4).sum() for side in (p, q))
    assert drift["kl_divergence"] == pytest.approx(entropy(p, q), rel=1e-9)
    assert same["hellinger_distance"] == pytest.approx(drift["hellinger_distance"], rel=1e-9)
    assert same["kl_divergence"] == pytest.approx(drift["kl_divergence"], rel=1e-3), (
        "a bin that both lack is floored"
    )


def test_one_category_on_both_sides_cannot_differ():
    drift = drift_of(_grades({"a": 5}), _grades({"a": 9}))
    assert drift["chi_squared_test"] == {"statistic": 0.0, "pvalue": 1.0}
    assert (drift["js_distance"], drift["tv_distance"]) == (0.0, 0.0)
    assert (drift["hellinger_distance"], drift["kl_divergence"]) == (0.0, 0.0)


def test_each_kind_fills_its_own_distances_and_leaves_the_others_empty():
    numeric, categorical = (
        _numeric_drift(*PAIRS["shifted"]),
        drift_of(_grades({"a": 5}), _grades({"b": 9})),
    )
    assert list(numeric) == list(categorical)
    assert all(numeric[name] is not None for name in NUMERIC_DISTANCES)
    assert all(numeric[name] is None for name in CATEGORICAL_DISTANCES)
    assert all(categorical[name] is not None for name in CATEGORICAL_DISTANCES)
    assert all(categorical[name] is None for name in NUMERIC_DISTANCES)
    assert all(
        drift[name] is not None for drift in (numeric, categorical) for name in COMMON_DISTANCES
    )


def test_deltas_are_current_minus_reference():
    current, reference = (
        pd.Series([0.0, 1.0, 2.0, None], dtype="Float64"),
        pd.Series([0.0, 5.0], dtype="Float64"),
    )
    profiles = [ColumnProfile.of(side, TEMP) for side in (current, reference)]
    drift, (now, before) = drift_of(*profiles), map(statistics_of, profiles)
    assert (drift["count_delta"], drift["avg_delta"]) == (1, -1.5)
    for name in ("percent_null", "percent_zeros", "percent_distinct"):
        assert drift[f"{name}_delta"] == now[name] - before[name]
    assert (
        drift["percent_null_delta"],
        drift["percent_zeros_delta"],
        drift["percent_distinct_delta"],
    ) == (
        25,
        -25,
        -25,
    )


def test_text_has_no_average_and_no_zeros_to_compare():
    drift = drift_of(_grades({"a": 5}), _grades({"a": 9}))
    assert (drift["avg_delta"], drift["percent_zeros_delta"], drift["percent_null_delta"]) == (
        None,
        None,
        0.0,
    )


@pytest.mark.parametrize("empty_side", [0, 1])
def test_a_side_without_values_has_no_distance(empty_side: int):
    sides = [np.array([1.0, 2.0]), np.array([1.0, 2.0])]
    sides[empty_side] = np.array([])
    drift = _numeric_drift(*sides)
    assert drift.pop("count_delta") == (-2, 2)[empty_side]
    assert set(drift.values()) == {None}
    grades = [_grades({"a": 2}), _grades({"a": 2})]
    grades[empty_side] = _grades({})
    drift = drift_of(*grades)
    assert all(drift[name] is None for name in CATEGORICAL_DISTANCES + COMMON_DISTANCES)


def test_profiles_without_bins_still_have_what_sketches_tell():
    profile = ColumnProfile.of(pd.Series([1.0, 2.0, 4.0]), TEMP)
    drift = drift_of(profile, profile)
    assert (
        drift["wasserstein_distance"],
        drift["levene_test"]["pvalue"],
        drift["mann_whitney_test"]["pvalue"],
    ) == (
        0.0,
        1.0,
        1.0,
    )
    for name in ("ks_test", "population_stability_index", "hellinger_distance", "kl_divergence"):
        assert drift[name] is None, name


def test_the_main_p_value_is_that_of_ks_or_of_chi_squared():
    numeric, categorical = (
        _numeric_drift(*PAIRS["shifted"]),
        drift_of(_grades({"a": 5, "b": 1}), _grades({"b": 9})),
    )
    assert main_pvalue(numeric) == numeric["ks_test"]["pvalue"]
    assert main_pvalue(categorical) == categorical["chi_squared_test"]["pvalue"] < 0.01
    assert main_pvalue(drift_of(_grades({}), _grades({"b": 9}))) is None
    assert main_pvalue({"ks_test": None, "chi_squared_test": None}) is None


def test_profiles_in_different_bins_or_of_different_columns_are_not_compared():
    values = pd.Series([1.0, 2.0])
    with pytest.raises(ValueError, match="the reference's edges"):
        drift_of(ColumnProfile.of(values, TEMP, (1.0,)), ColumnProfile.of(values, TEMP, (2.0,)))
    with pytest.raises(ValueError, match="Different columns"):
        drift_of(ColumnProfile.of(values, TEMP), _grades({"a": 1}))


def test_columns_that_came_and_went_are_counted():
    assert non_null_columns_delta(["a", "b", "c"], ["b", "d"]) == {"added": 2, "missing": 1}
