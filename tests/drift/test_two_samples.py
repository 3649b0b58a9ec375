import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import ks_2samp, kstwo, levene, mannwhitneyu

from lakehouse.drift.two_samples import (
    EXACT_KS_PAIRS,
    EXACT_KS_SIZE,
    MEAN_ERROR,
    Sample,
    adjusted_pvalues,
    asymptotic_ks_pvalue,
    ks_test,
    levene_test,
    mann_whitney_test,
)
from lakehouse.profiling.moments import Moments
from lakehouse.profiling.sketches import WINDOW_VALUES, merged_quantiles, quantile_sketch

RNG = np.random.default_rng(33)
RANK_ERROR = 0.0002  # of a mean of ranks
NORMAL = RNG.normal(350, 6, WINDOW_VALUES)
PAIRS = {
    "same distribution": (RNG.normal(350, 6, 900), NORMAL),
    "shifted": (RNG.normal(351, 6, 700), NORMAL),
    "wider": (RNG.normal(350, 9, 700), NORMAL),
    "wholly apart": (RNG.normal(900, 6, 300), NORMAL),
    "heavy tails": (RNG.standard_cauchy(500), RNG.standard_cauchy(1500)),
    "ties": (RNG.integers(0, 3, 200).astype(float), RNG.integers(0, 5, 400).astype(float)),
    "two values": (np.repeat([0.0, 1.0], [30, 12]), np.repeat([0.0, 1.0], [30, 29])),
    "far from zero": (1e9 + RNG.normal(0, 1, 99), 1e9 + RNG.normal(0, 2, 98)),
    "identical": (NORMAL, NORMAL),
    "one row": (np.array([351.0]), NORMAL),
    "two rows and one": (np.array([1.0, 4.0]), np.array([2.0])),
    "a constant and a spread": (np.full(30, 2.0), RNG.normal(2, 1, 30)),
}
each_pair = pytest.mark.parametrize("name", PAIRS)
SHAPES: dict[str, Callable[[int], np.ndarray]] = {
    "normal": lambda n: RNG.normal(size=n),
    "exponential": lambda n: RNG.exponential(size=n),
    "heavy tails": lambda n: RNG.standard_t(3, n),
    "ties": lambda n: RNG.poisson(3, n).astype(float),
}
each_shape = pytest.mark.parametrize("shape", SHAPES)


def _sample(values: np.ndarray, parts: int = 1) -> Sample:
    sketches = map(
        quantile_sketch, np.array_split(np.random.default_rng(1).permutation(values), parts)
    )
    return Sample.of(reduce(merged_quantiles, sketches), Moments.of(values))


@pytest.mark.parametrize(
    ("n", "z"), list(product([1001, 2000, 20_000], [0.3, 0.6, 0.8, 1.0, 1.36, 1.6, 2.5]))
)
def test_the_ks_p_value_of_large_samples_stays_within_2e_5_of_scipys(n: int, z: float):
    assert n > EXACT_KS_SIZE
    assert asymptotic_ks_pvalue(z / n**0.5, 2 * n, 2 * n) == pytest.approx(
        kstwo.sf(z / n**0.5, n), abs=2e-5
    )
    assert asymptotic_ks_pvalue(0.0, 500, 500) == 1.0


@pytest.mark.parametrize(("n", "expected"), [(1, 1.0), (2, 1 / 3), (3, 0.1), (4, 2 / 70)])
def test_a_handful_of_rows_is_never_certain_drift_however_far_apart(n: int, expected: float):
    assert ks_test(np.array([n, 0]), np.array([0, n])) == {
        "statistic": 1.0,
        "pvalue": pytest.approx(expected),
    }


@pytest.mark.parametrize("sizes", [(30, 30), (7, 1152), (999, 1001), (1000, 1001), (3000, 2000)])
@pytest.mark.parametrize("gap", [0.0, 0.5, 1.0, 1.4, 2.0])
def test_ks_p_values_are_scipys_exact_ones_or_near_them(sizes: tuple[int, int], gap: float):
    n, m = sizes
    moved = round(min(gap / np.sqrt(n * m / (n + m)), 1) * n)
    test = ks_test(np.array([n - moved, moved]), np.array([m, 0]))
    assert test["statistic"] == pytest.approx(moved / n)
    exact = n * m <= EXACT_KS_PAIRS
    # Two samples of other sizes in proportion would have other exact p-values: the very sizes are
    # compared.
    scipys = ks_2samp(
        np.repeat([0, 1], [n - moved, moved]), np.zeros(m), method="exact" if exact else "asymp"
    )
    assert test["pvalue"] == pytest.approx(scipys.pvalue, abs=1e-12 if exact else 2e-5)


def test_the_limit_takes_over_where_it_is_near_the_exact_p_value():
    for moved in range(0, 120, 5):
        one, other = (
            ks_test(np.array([n - moved, moved]), np.array([1000, 0]))["pvalue"]
            for n in (1000, 1001)
        )
        assert one == pytest.approx(other, abs=0.015)


@pytest.mark.parametrize("parts", [1, 9])
@each_pair
def test_mann_whitney_is_scipys_on_the_raw_values_of_samples_that_a_sketch_keeps_whole(
    name: str, parts: int
):
    current, reference = PAIRS[name]
    expected = mannwhitneyu(current, reference, method="asymptotic")
    test = mann_whitney_test(_sample(current, parts), _sample(reference, parts))
    assert test["statistic"] == expected.statistic
    assert test["pvalue"] == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.filterwarnings("ignore:divide by zero")  # scipy's own, where no distance varies
@pytest.mark.parametrize("parts", [1, 9])
@each_pair
def test_levene_is_scipys_on_the_raw_values_of_samples_that_a_sketch_keeps_whole(
    name: str, parts: int
):
    current, reference = PAIRS[name]
    expected = levene(current, reference, center="median")
    test = levene_test(_sample(current, parts), _sample(reference, parts))
    assert test is not None
    assert test["statistic"] == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert test["pvalue"] == pytest.approx(expected.pvalue, rel=1e-7)


@pytest.mark.parametrize("n", [1, 7, WINDOW_VALUES, 5000])
def test_constants_neither_shift_nor_spread_unless_they_differ(n: int):
    one, other = _sample(np.full(n, 0.1)), _sample(np.full(n, 0.3))
    assert mann_whitney_test(one, one)["pvalue"] == 1
    assert levene_test(one, one) is levene_test(one, other) is None
    if n > 6:
        assert mann_whitney_test(one, other)["pvalue"] < 0.005


def test_ties_of_all_values_leave_no_shift_whatever_rounding_makes_of_their_variance():
    for n in range(1, 250):
        assert (
            mann_whitney_test(_sample(np.full(n, 7.0)), _sample(np.full(251, 7.0)))["pvalue"] == 1
        )


@pytest.mark.parametrize("n", [10, 5000])
def test_distances_from_the_median_that_differ_by_rounding_alone_are_equal(n: int):
    halves = [_sample(np.repeat([low, low + 0.2], [n, n])) for low in (0.1, 1e6)]
    wider = _sample(np.repeat([0.1, 0.7], [n, n]))
    if n == 10:
        assert levene_test(halves[0], _sample(np.repeat([5.1, 5.3], [n, n]))) is None
        assert levene_test(halves[0], halves[0]) is None
        assert levene_test(halves[0], wider) == {"statistic": np.inf, "pvalue": 0.0}
    test = levene_test(halves[1], wider)
    assert test is not None
    assert test["pvalue"] < 1e-6


def test_values_whose_squares_a_double_cannot_hold_have_no_levene_test():
    huge, usual = _sample(np.array([-1e300, 0.0, 1e300, 5.0])), _sample(NORMAL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert levene_test(huge, usual) is None
        assert mann_whitney_test(huge, usual)["pvalue"] > 0.05


@pytest.mark.parametrize("parts", [1, 24])
@each_shape
def test_mann_whitney_of_many_values_keeps_the_sketches_rank_error(shape: str, parts: int):
    current, reference = SHAPES[shape](30_000) * 1.1, SHAPES[shape](20_000)
    expected = mannwhitneyu(current, reference)
    test = mann_whitney_test(_sample(current, parts), _sample(reference, parts))
    pairs = len(current) * len(reference)
    assert test["statistic"] / pairs == pytest.approx(expected.statistic / pairs, abs=RANK_ERROR)
    # Six standard errors of the sketches, in those of the test.
    z, error = (
        _z(expected.pvalue),
        6 * MEAN_ERROR * np.sqrt(2) / np.sqrt((1 / 30_000 + 1 / 20_000) / 12),
    )
    assert _z(test["pvalue"]) == pytest.approx(z, abs=error + 0.05 * z)


@pytest.mark.parametrize("parts", [1, 24])
@each_shape
def test_levene_of_many_values_keeps_the_sketches_error(shape: str, parts: int):
    current, reference = SHAPES[shape](30_000), SHAPES[shape](20_000)
    expected = levene(current, reference, center="median")
    test = levene_test(_sample(current, parts), _sample(reference, parts))
    assert test is not None
    spread = np.std(np.abs(current - np.median(current)))
    reach = max(np.ptp(np.sort(side)[2:-2]) for side in (current, reference))
    error = 6 * MEAN_ERROR * reach / (spread * np.sqrt(1 / 30_000 + 1 / 20_000))
    assert np.sqrt(test["statistic"]) == pytest.approx(
        np.sqrt(expected.statistic), abs=error, rel=0.03
    )
    assert _z(test["pvalue"]) == pytest.approx(
        _z(expected.pvalue), abs=error + 0.05 * _z(expected.pvalue)
    )


def _z(pvalue: float) -> float:
    return float(-ndtri(pvalue / 2))


@each_shape
def test_noise_of_the_sketches_is_never_significant_however_many_rows_they_stand_for(shape: str):
    values = SHAPES[shape](30_000)
    samples = [_sample(values, parts) for parts in (1, 2, 5) for _ in range(3)]
    # The same values on both sides: all that differs is noise. A hundred million rows would take it
    # for a shift.
    times = 10**8 / len(values)
    many = [
        each._replace(moments=replace(each.moments, n=10**8, m2=each.moments.m2 * times))
        for each in samples
    ]
    for a, b in pairwise(many):
        spread = levene_test(a, b)
        assert spread is not None
        assert min(mann_whitney_test(a, b)["pvalue"], spread["pvalue"]) > 1e-4


def test_a_real_shift_of_many_rows_is_found():
    base = RNG.normal(size=200_000)
    same, shifted, wider = _sample(base, 4), _sample(base + 0.05, 4), _sample(base * 1.05, 4)
    assert mann_whitney_test(shifted, same)["pvalue"] < 1e-20
    spread = levene_test(wider, same)
    assert spread is not None
    assert spread["pvalue"] < 1e-20


def test_p_values_are_adjusted_by_rank():
    assert adjusted_pvalues([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert adjusted_pvalues([0.02, None, 0.5]) == pytest.approx([0.04, None, 0.5])
    assert adjusted_pvalues([]) == []
    assert adjusted_pvalues([None]) == [None]


def test_a_wall_of_columns_without_drift_seldom_cries_wolf():
    pvalues = np.random.default_rng(2).uniform(size=(300, 40)).tolist()
    alarms = sum(min(adjusted_pvalues(row)) < 0.05 for row in pvalues)
    assert alarms / 300 < 0.1 < np.mean([min(row) < 0.05 for row in pvalues])
