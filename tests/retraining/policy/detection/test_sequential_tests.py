import numpy as np
import pytest

from lakehouse.retraining.policy.detection.sequential_tests import adwin, page_hinkley


def test_a_page_hinkley_score_by_hand():
    # Means so far: 0, 1/2, 2/3, 1/2; steps: 0, 1 - 1/2, 1 - 2/3, 0 - 1/2, each less the tolerance.
    found = page_hinkley([0, 1, 1, 0], [1, 1, 1, 1], tolerance=0.0)
    assert found.score == pytest.approx(1 / 2 + 1 / 3 - 1 / 2)
    assert found.change_index == 1


def test_a_rise_is_dated_near_where_it_began():
    random = np.random.default_rng(17)
    wrong = np.concatenate([random.binomial(192, 0.06, 17), random.binomial(192, 0.24, 5)])
    assert abs(page_hinkley(wrong, [192] * 22, 0.01).change_index - 17) <= 4
    assert abs(adwin(wrong, [192] * 22, 0.002).change_index - 17) <= 1


def test_a_steady_rate_has_no_change_point():
    steady = [6, 5, 6], [100, 100, 100]
    assert page_hinkley(*steady, 0.01) == (0.0, None)
    assert adwin(*steady, 0.002).change_index is None


def test_no_counts_are_no_evidence():
    assert page_hinkley([], [], 0.01) == (0.0, None)
    assert adwin([], [], 0.002) == (0.0, None)


@pytest.mark.parametrize("test", [page_hinkley, adwin])
@pytest.mark.parametrize(
    ("wrong", "total", "says"),
    [([1], [1, 2], "1 counts of errors and 2 totals"), ([3], [2], "negative or above its total")],
)
def test_impossible_counts_are_refused(test, wrong, total, says):
    with pytest.raises(ValueError, match=says):
        test(wrong, total, 0.01)
