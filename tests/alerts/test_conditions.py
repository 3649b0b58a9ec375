"""Conditions nest, have two limits, and do not take missing data for an answer."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.alerts.conditions import begins, goes_on
from lakehouse.settings import ConditionSettings

A = {"metric": "a", "above": 2, "recovers_below": 1}
B = {"metric": "b", "below": 5, "recovers_above": 8}


def condition(given: dict[str, Any]) -> ConditionSettings:
    return ConditionSettings.model_validate(given)


def of(values: dict[str, float | None]):
    return lambda leaf: values[leaf.metric]


@pytest.mark.parametrize(
    ("value", "starts", "stays"),
    [(2.1, True, True), (2.0, False, True), (1.0, False, True), (0.9, False, False)],
)
def test_a_limit_that_is_passed_upwards_is_left_at_the_recovery_limit(value, starts, stays):
    assert (begins(condition(A), of({"a": value})), goes_on(condition(A), of({"a": value}))) == (
        starts,
        stays,
    )


@pytest.mark.parametrize(
    ("value", "starts", "stays"),
    [(4.9, True, True), (5.0, False, True), (8.0, False, True), (8.1, False, False)],
)
def test_a_limit_that_is_passed_downwards_is_left_at_the_recovery_limit(value, starts, stays):
    assert (begins(condition(B), of({"b": value})), goes_on(condition(B), of({"b": value}))) == (
        starts,
        stays,
    )


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_missing_is_neither_true_nor_false(value):
    assert begins(condition(A), of({"a": value})) is None
    assert begins(condition({"not": A}), of({"a": value})) is None


TRUE, FALSE, MISSING = 3, 0, None


@pytest.mark.parametrize(
    ("kind", "a", "b", "expected"),
    [
        ("all", TRUE, TRUE, True),
        ("all", TRUE, FALSE, False),
        ("all", MISSING, FALSE, False),
        ("all", MISSING, TRUE, None),
        ("any", FALSE, FALSE, False),
        ("any", MISSING, TRUE, True),
        ("any", MISSING, FALSE, None),
    ],
)
def test_one_false_decides_all_and_one_true_decides_any_whatever_is_missing(kind, a, b, expected):
    above = [{"metric": name, "above": 2} for name in "ab"]
    assert begins(condition({kind: above}), of({"a": a, "b": b})) is expected


def test_not_begins_when_the_inner_one_is_over_and_ends_when_it_begins():
    calm = condition({"not": A})
    between = of({"a": 1.5})
    assert (begins(calm, between), goes_on(calm, between)) == (False, True)


LEAVES = st.sampled_from([A, B, {"metric": "a", "below": 0}, {"metric": "b", "above": 9}])
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=8,
)
VALUES = st.one_of(st.none(), st.floats(-2, 12))


@given(TREES, VALUES, VALUES)
def test_what_begins_also_goes_on(tree, a, b):
    found, values = condition(tree), of({"a": a, "b": b})
    if begins(found, values):
        assert goes_on(found, values) is True
    if goes_on(found, values) is False:
        assert begins(found, values) is False
    assert (begins(found, values) is None) == (goes_on(found, values) is None) or None in (a, b)
