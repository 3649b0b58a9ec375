"""When training again is due: by what the last training gained, at the price of one."""

import numpy as np
import pytest

from lakehouse.retraining.policy.refresh import Trial, due_at, interval_after

PRICE = 3.0
DAYS = np.arange("2026-01-01", "2026-03-01", dtype="datetime64[D]")
FIRST = Trial(DAYS[0], 1_000, since_change=1_000)


def interval(gain: float, price: float = PRICE, rows: float = 400.0) -> float:
    """Rows until the next training, where the last one came after so many."""
    return interval_after(rows, gain, price)


@pytest.mark.parametrize("gain", [-2.0, 2.0, 12.0])
def test_a_refresh_is_due_the_next_interval_after_the_last_training(gain: float):
    trials = [FIRST, Trial(DAYS[3], 1_400, gain=gain)]
    assert due_at(trials, DAYS[4], PRICE) == 1_400 + interval(gain)


def test_after_the_first_model_a_refresh_is_due_when_the_rows_have_doubled_or_after_a_week():
    assert due_at([], DAYS[0], PRICE) is None
    assert [due_at([FIRST], day, PRICE) for day in DAYS[[0, 6, 7]]] == [2_000, 2_000, 1_000]


def test_a_week_bounds_the_first_interval_alone():
    assert due_at([FIRST, Trial(DAYS[8], 1_400)], DAYS[40], PRICE) == 2_000


def test_after_an_answered_change_a_refresh_is_due_when_its_rows_have_doubled():
    answer = Trial(DAYS[20], 5_000, since_change=56, gain=20)
    assert due_at([FIRST, answer], DAYS[21], PRICE) == 112


def test_where_one_change_follows_another_the_interval_is_no_longer_than_between_them():
    second = Trial(DAYS[8], 1_400, since_change=800, gain=12)
    third = Trial(DAYS[10], 900, since_change=600, gain=12)
    # 100 rows after the answer came the next alarm, which gained four times the price.
    assert due_at([FIRST, second, third], DAYS[11], PRICE) == 600 + 50


@pytest.mark.parametrize("gain", [2.0, 3.0, 5.0, 8.0])
def test_the_next_interval_is_the_last_one_times_the_root_of_price_by_gain(gain: float):
    assert interval(gain) == pytest.approx(400 * np.sqrt(PRICE / gain))


def test_a_training_that_earned_its_price_leaves_the_interval_as_it_is():
    assert interval(PRICE) == 400
    assert interval(50.0, price=50.0, rows=77.0) == 77


@pytest.mark.parametrize("gain", [-100.0, -1.0, 0.0])
def test_an_interval_grows_by_half_where_nothing_was_gained(gain: float):
    assert interval(gain) == 600


def test_an_interval_grows_where_less_than_the_price_was_gained_and_shrinks_where_more_was():
    assert interval(2.0) > interval(PRICE) > interval(4.0)


def test_an_interval_becomes_at_most_half_as_long_or_half_as_long_again():
    assert interval(1e6) == interval(12.0) == 200
    assert interval(12.0) < interval(11.9)
    assert interval(1e-6) == interval(0.0) == 600


def test_the_formula_costs_least_where_a_model_falls_behind_steadily():
    """A model that loses m²/2,000 errors after m rows: the interval that it comes to from any other
    costs no more than any in a hundred.
    """
    loses = lambda rows: rows**2 / 2_000  # noqa: E731
    rows = 20.0
    for _ in range(20):
        rows = interval(loses(rows), rows=rows)
    lengths = np.linspace(10, 1_000, 100)
    costs = (loses(lengths) + PRICE) / lengths
    assert (loses(rows) + PRICE) / rows <= costs.min()
    assert loses(rows) == pytest.approx(PRICE)
