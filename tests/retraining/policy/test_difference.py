"""What a challenger calls otherwise: how many, where, and on whose side the labels are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.models import Classification, Problem, Regression
from lakehouse.retraining.policy.difference import differences
from lakehouse.retraining.policy.records import Rows

_CLASSES = Classification(("poor", "fair", "good"), "good")
_NUMBERS = Regression(0.5)


def _rows(features: np.ndarray, labels: np.ndarray, problem: Problem = _CLASSES) -> Rows:
    hour = np.arange(len(labels)).astype("datetime64[h]")
    names = tuple(f"x{place}" for place in range(features.shape[1]))
    return Rows(names, features, labels, hour, hour, problem)


def test_a_box_that_moves_is_told_as_the_two_strips_that_changed() -> None:
    values = np.random.default_rng(1).uniform(340, 370, (2_000, 2))
    first = values[:, 0]
    before = np.where((first > 351) & (first <= 359), 2, 0)
    now = np.where((first > 354) & (first <= 362), 2, 0)
    everywhere, *regions = differences(_rows(values, now), before, now)
    assert everywhere.region is None
    assert everywhere.differ == int((before != now).sum()) == everywhere.for_challenger
    assert {(each.region, each.change) for each in regions} == {
        ("x0 between 351 and 354", "poor instead of good"),
        ("x0 between 359 and 362", "good instead of poor"),
    }
    assert sum(each.differ for each in regions) == everywhere.differ


def test_a_region_with_a_few_rows_called_as_before_is_told_as_one() -> None:
    random = np.random.default_rng(3)
    values = random.uniform(0, 1, (400, 3))
    before = np.full(400, 2)
    now = np.where((values[:, 0] < 0.3) & (random.random(400) < 0.8), 0, 2)
    _, *regions = differences(_rows(values, now), before, now)
    assert len(regions) == 1
    assert regions[0].region is not None and regions[0].region.startswith("x0 up to 0.")


def test_two_changes_side_by_side_are_two_regions() -> None:
    values = np.linspace(0, 1, 100)[:, np.newaxis]
    before = np.where(values[:, 0] > 0.5, 2, 0)
    _, *regions = differences(_rows(values, before), before, 2 - before)
    assert {each.change for each in regions} == {"good instead of poor", "poor instead of good"}


def test_models_that_agree_have_no_region() -> None:
    labels = np.array([0, 1, 2, 1])
    (found,) = differences(_rows(np.zeros((4, 1)), labels), labels, labels)
    assert (found.rows, found.differ, found.change) == (4, 0, None)


def test_without_a_row_there_is_nothing_to_tell() -> None:
    none = np.array([], dtype=int)
    (found,) = differences(_rows(np.zeros((0, 1)), none), none, none)
    assert (found.rows, found.differ) == (0, 0)


def test_calls_that_differ_by_chance_are_in_no_region() -> None:
    random = np.random.default_rng(2)
    values, labels = random.normal(size=(1_000, 3)), random.integers(0, 3, 1_000)
    other = np.where(random.random(1_000) < 0.1, (labels + 1) % 3, labels)
    everywhere, *regions = differences(_rows(values, labels), labels, other)
    assert everywhere.differ > 50
    assert sum(each.differ for each in regions) < 0.3 * everywhere.differ


def test_numbers_are_higher_or_lower_and_a_near_one_is_no_difference() -> None:
    values = np.linspace(0, 1, 200)[:, np.newaxis]
    before = np.zeros(200)
    now = np.where(values[:, 0] > 0.75, 3.0, 0.9)
    everywhere, region = differences(_rows(values, now, _NUMBERS), before, now)
    assert everywhere.differ == region.differ == 50
    assert (region.change, region.for_challenger) == ("higher", 50)
    assert region.region is not None and region.region.startswith("x0 above 0.75")


def test_rows_without_a_value_are_counted_too() -> None:
    values = np.linspace(0, 1, 100)[:, np.newaxis]
    values[::7] = np.nan
    before, now = np.zeros(100, dtype=int), np.arange(100) // 50
    everywhere, *_ = differences(_rows(values, now), before, now)
    assert everywhere.differ == 50


@pytest.mark.parametrize("problem", [_CLASSES, _NUMBERS])
@given(st.data())
def test_each_count_is_that_of_the_rows_themselves(problem: Problem, data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 1_000)))
    size = data.draw(st.integers(1, 60))
    labels, before, now = (random.integers(0, 3, size) for _ in range(3))
    if isinstance(problem, Regression):
        labels, before, now = (each + 0.1 for each in (labels, before, now))
    values = random.normal(size=(size, 2)).round(1)
    found = differences(_rows(values, labels, problem), before, now)
    table = pd.DataFrame({"label": labels, "before": before, "now": now})
    differ = table[(table.before - table.now).abs() > (1 if problem is _NUMBERS else 0)]
    nearer = (differ.before - differ.label).abs() - (differ.now - differ.label).abs()
    if problem is _CLASSES:
        nearer = (differ.now == differ.label).astype(int) - (differ.before == differ.label)
    assert found[0].rows == size
    assert found[0].differ == len(differ)
    assert found[0].for_challenger == (nearer > 1e-9).sum()
    assert found[0].for_champion == (nearer < -1e-9).sum()
    assert sum(each.differ for each in found[1:]) <= len(differ)
    assert all(2 * each.differ >= each.rows > 2 for each in found[1:])
