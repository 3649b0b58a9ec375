from itertools import pairwise

import numpy as np
import pytest

from lakehouse.profiling.bins import bin_counts, quantile_edges

NORMAL = np.random.default_rng(1).normal(350, 6, 5000)


def test_bins_of_a_continuous_baseline_hold_equal_shares():
    counts = bin_counts(NORMAL, quantile_edges(NORMAL))
    assert counts.tolist() == [250] * 20
    assert counts.dtype == np.int64


def test_edges_are_values_that_occurred_in_the_baseline():
    assert set(quantile_edges(NORMAL)) < set(NORMAL)
    assert quantile_edges(NORMAL, 4) == tuple(np.sort(NORMAL)[[1249, 2499, 3749]])


def test_values_outside_the_baselines_range_count_in_the_outermost_bins():
    counts = bin_counts(np.array([-1e300, 1e300, 1e300]), quantile_edges(NORMAL))
    assert (counts[0], counts[-1], counts.sum()) == (1, 2, 3)


def test_a_bin_holds_its_upper_edge_and_not_its_lower_one():
    assert bin_counts(np.array([1.0, 1.5, 2.0, 2.5]), (1.0, 2.0)).tolist() == [1, 2, 1]


def test_counts_equal_a_loop_over_values_and_edges():
    edges = quantile_edges(NORMAL, 7)
    loop = [0] * (len(edges) + 1)
    for value in NORMAL:
        loop[sum(edge < value for edge in edges)] += 1
    assert bin_counts(NORMAL, edges).tolist() == loop


def test_nan_and_infinities_are_in_no_bin():
    values = np.array([np.nan, np.inf, -np.inf, 350.0])
    assert bin_counts(values, quantile_edges(NORMAL)).sum() == 1
    assert quantile_edges(np.concatenate([NORMAL, values[:3]])) == quantile_edges(NORMAL)


def test_a_constant_has_a_bin_under_it_its_own_and_one_above():
    edges = quantile_edges(np.full(100, 7.0))
    assert bin_counts(np.array([6.999, 7.0, 7.0, 7.001]), edges).tolist() == [1, 2, 1]


@pytest.mark.parametrize("share", [0.5, 0.98, 0.02])
def test_few_distinct_values_have_a_bin_each_however_rare(share: float):
    values = np.repeat([0.0, 1.0], [round(1000 * share), 1000 - round(1000 * share)])
    counts = bin_counts(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]), quantile_edges(values))
    assert counts.tolist() == [1, 1, 2, 1], "below, 0, (0, 1], above"


def test_values_below_a_heavy_minimum_have_a_bin_of_their_own():
    values = np.concatenate([np.zeros(4000), np.random.default_rng(2).lognormal(size=1000)])
    edges = quantile_edges(values)
    assert bin_counts(np.array([-1e-9, 0.0]), edges)[:2].tolist() == [1, 1]
    assert bin_counts(values, edges)[:2].tolist() == [0, 4000]


@pytest.mark.parametrize("seed", range(10))
def test_edges_strictly_increase_for_any_data(seed: int):
    rng = np.random.default_rng(seed)
    values = rng.choice(
        [rng.standard_cauchy(300), rng.integers(-5, 30, 300), rng.normal(1e12, 1e-3, 300)]
    )
    edges = quantile_edges(values, n_bins=int(rng.integers(2, 30)))
    assert all(a < b for a, b in pairwise(edges))
    assert bin_counts(values, edges).sum() == 300


def test_no_values_make_one_bin_for_everything():
    assert quantile_edges(np.array([np.nan])) == ()
    assert bin_counts(np.array([1.0, 2.0]), ()).tolist() == [2]


def test_one_bin_is_refused():
    with pytest.raises(ValueError, match="at least 2 bins"):
        quantile_edges(NORMAL, n_bins=1)


def test_no_edge_is_infinite_even_under_the_least_double():
    least = -np.finfo(float).max
    assert quantile_edges(np.array([least, 0.0])) == (least, 0.0)
