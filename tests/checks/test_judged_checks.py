"""A worst slice and a dear model are found, and one that is as good as another seldom is."""

import numpy as np
import pytest
from scipy import stats

from lakehouse.checks.judged_checks import JudgedRows, costs_of, judged_checks
from lakehouse.models import Classification, Regression
from lakehouse.settings import CheckSettings, CostSettings

TWO = Classification((0, 1), 1)
COSTS = CostSettings.model_validate(
    {
        "currency": "EUR",
        "cells": [
            {"label": 0, "predicted": 1, "cost": 40.0},
            {"label": 1, "predicted": 0, "cost": 5.0},
        ],
    }
)


def checks(labels, predictions, champion=None, slices=None, costs=COSTS, settings=None):
    rows = JudgedRows(TWO, labels, predictions, champion, slices or {})
    return {each.name: each for each in judged_checks(rows, settings or CheckSettings(), costs)}


def halves(n=200):
    labels = np.tile([0, 1], n // 2)
    inside = np.arange(n) < n // 2
    return labels, inside


def test_a_slice_far_below_the_rest_is_named_with_its_share():
    labels, inside = halves()
    wrong = inside & (np.arange(200) % 3 > 0)
    found = checks(labels, np.where(wrong, 1 - labels, labels), slices={"old": inside})
    assert not found["worst_slice"].passed
    assert "in slice old it is right on 34.0% of 100 rows" in found["worst_slice"].reason


@pytest.mark.parametrize(("rows", "passes"), [(29, True), (30, False)])
def test_of_a_slice_of_few_rows_nothing_is_said(rows, passes):
    labels, _ = halves()
    few = np.arange(200) < rows
    found = checks(labels, np.where(few, 1 - labels, labels), slices={"few": few})
    assert found["worst_slice"].passed == passes


def test_a_slice_may_lie_as_far_below_all_rows_as_the_settings_allow():
    labels, inside = halves()
    wrong = inside & (np.arange(200) % 3 > 0)
    predictions, slices = np.where(wrong, 1 - labels, labels), {"old": inside}
    far = CheckSettings(slice_fall=0.5)
    assert checks(labels, predictions, slices=slices, settings=far)["worst_slice"].passed


def test_a_slice_as_good_as_the_rest_fails_one_time_in_twenty_at_most():
    random, failures, n_trials = np.random.default_rng(0), 0, 1_000
    labels, inside = np.zeros(400, dtype=int), np.arange(400) < 60
    settings = CheckSettings(slice_fall=0.0)
    for _ in range(n_trials):
        wrong = (random.random(400) < 0.2).astype(int)
        failures += not checks(labels, wrong, slices={"a": inside}, settings=settings)[
            "worst_slice"
        ].passed
    assert stats.binomtest(failures, n_trials, 0.05, alternative="greater").pvalue > 1e-3


def test_a_model_that_makes_dearer_errors_than_the_champion_is_found_though_it_makes_fewer():
    labels, _ = halves(400)
    champion = np.where(np.arange(400) % 4 == 1, 0, labels)  # 100 errors of 5
    predictions = np.where(np.arange(400) % 8 == 0, 1, labels)  # 50 errors of 40
    found = checks(labels, predictions, champion)["cost"]
    assert (found.passed, found.figure, found.bound) == (False, 5.0, 1.25)
    assert "its calls cost 5 EUR a row, the champion's 1.25" in found.reason
    assert checks(labels, champion, predictions)["cost"].passed


def test_the_verdict_on_costs_is_that_of_a_paired_t_test():
    random = np.random.default_rng(5)
    for _ in range(50):
        labels = random.integers(0, 2, 60)
        sides = [np.where(random.random(60) < 0.2, 1 - labels, labels) for _ in range(2)]
        money = [costs_of(TWO, COSTS, labels, side) for side in sides]
        expected = stats.ttest_rel(*money, alternative="greater").pvalue >= 0.05
        assert checks(labels, *sides)["cost"].passed == expected


def test_a_model_that_costs_the_same_fails_one_time_in_twenty():
    random, failures, n_trials = np.random.default_rng(2), 0, 1_000
    for _ in range(n_trials):
        labels = random.integers(0, 2, 300)
        sides = [np.where(random.random(300) < 0.2, 1 - labels, labels) for _ in range(2)]
        failures += not checks(labels, *sides)["cost"].passed
    assert stats.binomtest(failures, n_trials, 0.05, alternative="greater").pvalue > 1e-3


def test_the_first_model_is_compared_with_the_cheapest_call_for_all_rows():
    labels, _ = halves()
    assert checks(labels, labels)["cost"].passed
    dear = checks(labels, np.ones_like(labels))["cost"]
    assert (dear.passed, dear.bound) == (False, 2.5)
    assert "the cheapest call for all rows" in dear.reason


def test_without_costs_or_classes_nothing_is_said_of_money():
    labels, _ = halves()
    assert checks(labels, 1 - labels, costs=None)["cost"].passed
    numbers = JudgedRows(Regression(1.0), np.zeros(40), np.ones(40), np.zeros(40), {})
    assert all(each.passed for each in judged_checks(numbers, CheckSettings(), COSTS))


def test_a_difference_that_all_rows_share_is_credible():
    labels = np.zeros(40, dtype=int)
    assert not checks(labels, np.ones_like(labels), labels)["cost"].passed
    assert checks(labels, labels, np.ones_like(labels))["cost"].passed


def test_of_one_row_nothing_is_said_of_money():
    one = np.array([0])
    found = checks(one, 1 - one, one)["cost"]
    assert (found.passed, found.reason) == (True, "too few rows to compare costs on")


def test_a_cell_of_a_class_that_the_model_does_not_know_costs_nothing():
    named = {"cells": [{"label": 2, "predicted": 1, "cost": 9.0}, *COSTS.model_dump()["cells"]]}
    labels, predictions = np.array([0, 1, 0]), np.array([1, 1, 0])
    found = costs_of(TWO, CostSettings.model_validate(named), labels, predictions)
    assert found.tolist() == [40.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["worst_slice", "cost"])
def test_what_is_demanded_is_marked(name):
    labels, _ = halves()
    found = checks(labels, labels, settings=CheckSettings(demanded=(name,)))
    assert [each.name for each in found.values() if each.demanded] == [name]
