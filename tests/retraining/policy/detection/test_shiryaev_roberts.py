import itertools

import numpy as np
import pytest
from scipy.stats import beta, binom

from lakehouse.retraining.policy.detection.shiryaev_roberts import (
    EFFECTS,
    log_likelihood_ratios,
    shiryaev_roberts,
    upper_rates,
)

RATE = 0.06


def ratios_of(wrong: np.ndarray, labelled: np.ndarray, rate: float = RATE) -> np.ndarray:
    effects = np.repeat(np.array(EFFECTS)[:, None], len(wrong), axis=1)
    return log_likelihood_ratios(wrong, labelled, np.full(len(wrong), rate), effects)


def statistic(wrong: np.ndarray, labelled: np.ndarray) -> float:
    return float(np.exp(shiryaev_roberts(ratios_of(wrong, labelled), labelled).log_statistic))


def test_the_statistic_is_the_mean_of_the_recursions():
    rng = np.random.default_rng(0)
    labelled = rng.integers(1, 12, 60)
    wrong = rng.binomial(labelled, 0.1)
    recursions = np.zeros(len(EFFECTS))
    for ratio, rows in zip(ratios_of(wrong, labelled).T, labelled, strict=True):
        recursions = (recursions + rows) * np.exp(ratio)
    assert statistic(wrong, labelled) == pytest.approx(recursions.mean())


def test_an_hour_of_many_rows_weighs_as_many_places_where_the_change_may_begin():
    assert statistic(np.array([0]), np.array([1])) < 1
    likelihoods = np.exp(ratios_of(np.array([3]), np.array([8])))
    assert statistic(np.array([3]), np.array([8])) == pytest.approx(8 * likelihoods.mean())


def test_the_posterior_is_over_the_hours_and_finds_the_change():
    labelled = np.full(96, 8)
    wrong = np.array([0, 1] * 36 + [3] * 24)
    posterior = shiryaev_roberts(ratios_of(wrong, labelled), labelled).posterior
    assert posterior.sum() == pytest.approx(1)
    assert abs(int(posterior.argmax()) - 72) <= 1


def test_no_rows_are_no_evidence():
    assert shiryaev_roberts(np.empty((4, 0)), np.empty(0)).log_statistic == -np.inf


def test_without_a_change_the_expected_statistic_is_the_number_of_rows():
    """The martingale that the bound rests on, exactly: over all outcomes of three hours of four
    rows.
    """
    outcomes = np.array(list(itertools.product(range(5), repeat=3)))
    chances = binom.pmf(outcomes, 4, RATE).prod(axis=1)
    values = np.array([statistic(wrong, np.full(3, 4)) for wrong in outcomes])
    assert chances @ values == pytest.approx(12)


def false_alarm_waits(alarm: float, runs: int, hours: int, seed: int) -> np.ndarray:
    """Rows until M first exceeds the alarm, cut off at the end, which makes their mean smaller."""
    rng = np.random.default_rng(seed)
    wrong = rng.binomial(8, RATE, (hours, runs))
    values = np.zeros((len(EFFECTS), runs))
    waits = np.full(runs, hours * 8.0)
    open_ = np.ones(runs, dtype=bool)
    for hour, errors in enumerate(wrong):
        values = (values + 8) * np.exp(ratios_of(errors, np.full(runs, 8)))
        crossed = open_ & (values.mean(axis=0) > alarm)
        waits[crossed] = (hour + 1) * 8
        open_ &= ~crossed
    return waits


@pytest.mark.parametrize("alarm", [100.0, 1_000.0])
def test_false_alarms_are_as_rare_as_stated(alarm: float):
    """Expected rows to a false alarm >= A: the lower 99.9 % confidence bound of the mean of 400
    runs lies above it.
    """
    waits = false_alarm_waits(alarm, runs=400, hours=int(alarm), seed=2)
    assert waits.mean() - 3.1 * waits.std() / np.sqrt(len(waits)) >= alarm


def test_a_bound_covers_the_rate_in_three_of_four_samples_or_more():
    rng = np.random.default_rng(3)
    for rate in (0.02, 0.06, 0.2):
        wrong = rng.binomial(300, rate, 4_000)
        covered = (upper_rates(wrong, np.full(4_000, 300)) >= rate).mean()
        assert covered >= 0.75


def test_a_bound_is_the_quantile_of_its_beta_and_stays_below_a_half():
    assert upper_rates(np.array([3]), np.array([50]))[0] == pytest.approx(beta.ppf(0.8, 3.5, 51.5))
    assert upper_rates(np.array([9]), np.array([9]))[0] == 0.45


def test_a_ratio_is_the_one_of_binomial_likelihoods():
    found = log_likelihood_ratios(np.array([3]), np.array([10]), np.array([0.1]), np.array([[0.2]]))
    assert found[0, 0] == pytest.approx(
        binom.logpmf(3, 10, 0.1 + 0.2 * 0.8) - binom.logpmf(3, 10, 0.1)
    )
