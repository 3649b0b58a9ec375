"""Association and stretches, against scikit-learn, scipy and a search by hand."""

import math

import numpy as np
import pytest
from scipy.stats import contingency
from sklearn.metrics import mutual_info_score

from lakehouse.explore.measures import (
    cramers_v,
    entropy,
    joint,
    mutual_information,
    stretch_of_mean,
    stretch_of_share,
    stretch_that_moved,
)


@pytest.fixture
def codes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    a = rng.integers(0, 5, 2000)
    return a, np.where(rng.random(2000) < 0.4, a % 3, rng.integers(0, 3, 2000))


def test_pairs_of_codes_are_counted_as_a_contingency_table_is(codes) -> None:
    expected = contingency.crosstab(*codes).count
    assert (joint(*codes) == expected).all()


def test_cramers_v_is_the_plain_one_with_bergsma_s_correction(codes) -> None:
    table = joint(*codes)
    n, (rows, columns) = table.sum(), table.shape
    plain = contingency.association(table, method="cramer")
    phi = plain**2 * (min(rows, columns) - 1) - (rows - 1) * (columns - 1) / (n - 1)
    left = [size - (size - 1) ** 2 / (n - 1) for size in (rows, columns)]
    assert cramers_v(table) == pytest.approx(math.sqrt(phi / (min(left) - 1)))
    assert cramers_v(np.diag([40, 30, 30])) == pytest.approx(1.0)


def test_association_of_independent_columns_is_nothing_on_average_and_not_its_bias() -> None:
    rng = np.random.default_rng(0)
    tables = [joint(rng.integers(0, 20, 500), rng.integers(0, 2, 500)) for _ in range(200)]
    plain = np.mean([contingency.association(table) for table in tables])
    assert plain > 0.18
    assert np.mean([cramers_v(table) for table in tables]) < 0.06
    assert np.median([mutual_information(table) for table in tables]) < 0.003


def test_mutual_information_is_scikit_learn_s_less_the_bias_of_miller_and_madow(codes) -> None:
    assert mutual_information(joint(*codes)) == pytest.approx(
        mutual_info_score(*codes) - 4 * 2 / (2 * 2000)
    )


@pytest.mark.parametrize("table", [np.zeros((3, 2)), np.array([[5, 0]]), np.array([[1]])])
def test_what_has_no_rows_or_one_value_has_nothing_in_common(table: np.ndarray) -> None:
    assert (cramers_v(table), mutual_information(table)) == (0.0, 0.0)


def test_entropy_is_that_of_the_shares() -> None:
    assert entropy(np.array([10, 10, 0, 20])) == pytest.approx(1.5 * math.log(2))


def test_the_stretch_is_the_one_of_the_greatest_likelihood_ratio() -> None:
    rng = np.random.default_rng(5)
    n = rng.integers(50, 200, 20)
    p = np.where((np.arange(20) >= 3) & (np.arange(20) < 17), 0.7, 0.1)
    k = rng.binomial(n, p)
    best = max(
        ((first, last) for first in range(20) for last in range(first, 20) if last - first < 19),
        key=lambda pair: _log_likelihood(n, k, *pair),
    )
    found = stretch_of_share(n, k)
    assert found is not None
    assert (found.first, found.last) == best == (3, 16)
    assert found.inside == k[3:17].sum() / n[3:17].sum()
    assert found.n_elsewhere == n.sum() - n[3:17].sum()


def _log_likelihood(n: np.ndarray, k: np.ndarray, first: int, last: int) -> float:
    inside = np.zeros(len(n), dtype=bool)
    inside[first : last + 1] = True
    total = 0.0
    for part in (inside, ~inside):
        rows, good = int(n[part].sum()), int(k[part].sum())
        for count in (good, rows - good):
            total += count * math.log(count / rows) if count else 0.0
    return total


def test_a_stretch_at_an_end_is_the_one_of_the_greater_share() -> None:
    found = stretch_of_share(np.full(4, 100), np.array([0, 0, 0, 90]))
    assert found is not None
    assert (found.first, found.last, found.inside) == (3, 3, 0.9)


def test_chance_and_small_differences_are_not_told_of() -> None:
    rng = np.random.default_rng(1)
    n = np.full(20, 100)
    assert all(stretch_of_share(n, rng.binomial(n, 0.5)) is None for _ in range(200))
    assert stretch_of_share(n * 100_000, n * 50_000 + np.arange(20) * 10_000) is None
    assert stretch_of_share(np.full(3, 5), np.array([0, 5, 0])) is None  # too few rows
    assert stretch_of_share(np.array([100]), np.array([50])) is None
    assert stretch_of_share(np.zeros(4), np.zeros(4)) is None


def test_kinds_have_no_neighbours() -> None:
    found = stretch_of_share(np.full(4, 100), np.array([90, 90, 10, 10]), longest=1)
    assert found is not None
    assert found.first == found.last


def test_a_mean_stands_out_by_the_variance_that_it_explains() -> None:
    n, mean = np.full(5, 200), np.array([1.0, 1.0, 5.0, 5.0, 1.0])
    found = stretch_of_mean(n, mean, variance=float(np.var(np.repeat(mean, 200))))
    assert found is not None
    assert (found.first, found.last, found.inside, found.elsewhere) == (2, 3, 5.0, 1.0)
    assert found.strength == pytest.approx(1000)  # all of it
    assert stretch_of_mean(n, mean, variance=1e4) is None
    assert stretch_of_mean(n, np.ones(5), variance=0.0) is None


def test_the_stretch_that_moved_is_where_the_share_is_another_one() -> None:
    n = np.full(10, 100)
    before, after = np.full(10, 80), np.where(np.arange(10) < 3, 5, 80)
    found = stretch_that_moved((n, before), (n, after), None)
    assert found is not None
    assert (found.first, found.last, found.elsewhere, found.inside) == (0, 2, 0.8, 0.05)
    assert stretch_that_moved((n, before), (n, before), None) is None
    whole = stretch_that_moved((n, before), (n, before - 30), None)
    assert whole is not None
    assert (whole.first, whole.last) == (0, 9)
