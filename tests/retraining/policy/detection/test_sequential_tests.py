import numpy as np
import pytest

from lakehouse.retraining.policy.detection.sequential_tests import cusum

P0, P1 = 0.06, 0.2


def _log_likelihood_ratio(wrong: np.ndarray, total: np.ndarray) -> float:
    return float((wrong * np.log(P1 / P0) + (total - wrong) * np.log((1 - P1) / (1 - P0))).sum())


def test_a_score_by_hand():
    up, down = np.log(P1 / P0), np.log((1 - P1) / (1 - P0))
    result = cusum([0, 1, 1, 0], [1, 1, 1, 1], P0, P1)
    assert result.score == pytest.approx(2 * up + down)
    assert result.peak == pytest.approx(2 * up)
    assert result.change_index == 1


@pytest.mark.parametrize("seed", range(10))
def test_the_score_is_the_best_likelihood_ratio_of_any_change_point(seed: int):
    rng = np.random.default_rng(seed)
    total = rng.integers(0, 12, 80)
    wrong = rng.binomial(total, np.where(np.arange(80) < 50, P0, P1))
    ratios = [_log_likelihood_ratio(wrong[start:], total[start:]) for start in range(81)]
    result = cusum(wrong, total, P0, P1)
    assert result.score == pytest.approx(max(ratios), abs=1e-9)
    if result.change_index is not None:
        assert ratios[result.change_index] == pytest.approx(max(ratios))
    assert result.peak == pytest.approx(
        max(cusum(wrong[:n], total[:n], P0, P1).score for n in range(81))
    )


def test_a_rise_is_dated_near_where_it_began():
    rng = np.random.default_rng(17)
    wrong = np.concatenate([rng.binomial(192, 0.06, 17), rng.binomial(192, 0.24, 5)])
    result = cusum(wrong, [192] * 22, 0.06, 0.12)
    assert result.change_index == 17
    assert result.score == result.peak > 50


def test_a_steady_rate_has_no_change_point():
    assert cusum([6, 5, 6], [100, 100, 100], P0, P1) == (0.0, 0.0, None)


def test_evidence_that_fades_leaves_its_peak():
    result = cusum([30, 0, 0], [100, 300, 300], P0, P1)
    assert (result.score, result.change_index) == (0.0, None)
    assert result.peak > 10


def test_no_counts_are_no_evidence():
    assert cusum([], [], P0, P1) == (0.0, 0.0, None)
    assert cusum([0, 0], [0, 0], P0, P1) == (0.0, 0.0, None)


@pytest.mark.parametrize(
    ("wrong", "total", "p0", "p1", "says"),
    [
        ([1], [1], 0.2, 0.1, "0 < p0 < p1 < 1"),
        ([1], [1], 0.0, 0.1, "0 < p0 < p1 < 1"),
        ([1], [1, 2], 0.1, 0.2, "1 counts of errors and 2 totals"),
        ([3], [2], 0.1, 0.2, "above its total"),
    ],
)
def test_impossible_counts_and_rates_are_refused(
    wrong: list[int], total: list[int], p0: float, p1: float, says: str
):
    with pytest.raises(ValueError, match=says):
        cusum(wrong, total, p0, p1)
