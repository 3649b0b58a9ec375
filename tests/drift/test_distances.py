import numpy as np
import pytest
from scipy.stats import wasserstein_distance as scipy_wasserstein

from lakehouse.drift.distances import (
    hellinger_distance,
    kl_divergence,
    population_stability_index,
    wasserstein_distance,
)
from lakehouse.profiling.sketches import quantile_sketch


def test_psi_by_hand():
    index = population_stability_index(np.array([30, 70, 0]), np.array([50, 50, 0]))
    assert index == pytest.approx(-0.2 * np.log(0.6) + 0.2 * np.log(1.4))


def test_hellinger_by_hand():
    distance = hellinger_distance(np.array([9, 16, 0]), np.array([16, 0, 9]))
    assert distance == pytest.approx(np.sqrt(1 - np.sqrt(9 * 16) / 25))


def test_kl_by_hand_is_of_the_current_rows_from_the_reference():
    divergence = kl_divergence(np.array([75, 25]), np.array([50, 50]))
    assert divergence == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert divergence != pytest.approx(kl_divergence(np.array([50, 50]), np.array([75, 25])))


@pytest.mark.parametrize("n_categories", [2, 20, 5000])
def test_kl_is_finite_and_never_negative_however_many_shares_are_floored(n_categories: int):
    rng = np.random.default_rng(n_categories)
    for _ in range(5):
        current, reference = rng.multinomial(50, rng.dirichlet(np.ones(n_categories)), 2)
        assert 0 <= kl_divergence(current, reference) < np.log(1e4)
    assert kl_divergence(np.eye(n_categories)[0], np.ones(n_categories)) >= 0
    assert kl_divergence(np.ones(n_categories), np.eye(n_categories)[0]) >= 0
    assert kl_divergence(current, current) == 0


def test_wasserstein_of_many_values_keeps_the_sketches_error():
    rng = np.random.default_rng(8)
    current, reference = rng.uniform(0, 1, 30_000), rng.uniform(0, 1.2, 50_000)
    distance = wasserstein_distance(quantile_sketch(current), quantile_sketch(reference))
    assert distance == pytest.approx(scipy_wasserstein(current, reference), abs=2 * 0.0014 * 1.2)
