import math
from functools import reduce

import numpy as np
import pytest

from lakehouse.profiling.moments import NO_MOMENTS, Moments

LARGEST = float(np.finfo(np.float64).max)


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e9])
@pytest.mark.parametrize("parts", [2, 30, 800])
def test_moments_of_any_split_merge_to_those_of_the_whole(offset: float, parts: int):
    values = offset + np.random.default_rng(parts).normal(size=1000)
    merged = reduce(Moments.merge, map(Moments.of, np.array_split(values, parts)), NO_MOMENTS)
    exact = values - values[0]
    assert merged.n == 1000
    assert merged.mean + merged.mean_rest == pytest.approx(values[0] + exact.mean(), rel=1e-15)
    assert merged.stddev == pytest.approx(np.std(exact, ddof=1), rel=1e-12)


@pytest.mark.parametrize("n", [1, 3, 49, 1000])
def test_a_constant_has_no_spread_whatever_its_sum_is_rounded_to(n: int):
    assert Moments.of(np.full(n, 0.1)) == Moments(n, 0.1, 0.0, 0.0)
    assert Moments.of(np.full(n, 0.1)).merge(Moments.of(np.full(7, 0.1))) == Moments(
        n + 7, 0.1, 0.0, 0.0
    )


def test_no_values_change_nothing():
    some = Moments.of(np.array([0.1, 0.7]))
    assert NO_MOMENTS.merge(some) == some == some.merge(NO_MOMENTS)
    assert NO_MOMENTS.stddev is None
    assert Moments.of(np.array([3.0])).stddev is None


@pytest.mark.parametrize(
    "values",
    [
        [1e200, 1.0, 2.0],
        [LARGEST, LARGEST, 0.0],
        [LARGEST, -LARGEST, 5.0, 6.0],
        [LARGEST, LARGEST * 0.9],
    ],
)
def test_values_whose_squares_a_double_cannot_hold_keep_their_mean(values: list[float]):
    expected = math.fsum(value / len(values) for value in values)
    for moments in (
        Moments.of(np.array(values)),
        reduce(Moments.merge, (Moments.of(np.array([value])) for value in values)),
        Moments.of(np.array(values[:2])).merge(Moments.of(np.array(values[2:]))),
    ):
        assert moments.mean + moments.mean_rest == pytest.approx(
            expected, rel=1e-12, abs=LARGEST * 1e-15
        )
        assert moments.stddev == math.inf
