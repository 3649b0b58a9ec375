"""When training again is due: by what the last training gained, at the price of one."""

import numpy as np
import pytest

from lakehouse.retraining.policy.refresh import due_at

PRICE = 3.0


def interval(gain: float, price: float = PRICE, rows: float = 400.0) -> float:
    """Rows until the next training, where the last one came after so many."""
    return due_at(1_000 + rows, 1_000, gain, price) - (1_000 + rows)


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
