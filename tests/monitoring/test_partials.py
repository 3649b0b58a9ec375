"""Partials of custom metrics: merged as SQL aggregates, and unknown where one side does not know
them.
"""

import math
from typing import Any

import pytest

from lakehouse.monitoring.partials import as_partials, merge_partials

NAN = math.nan


@pytest.mark.parametrize(
    ("how", "a", "b", "merged"),
    [
        ("sum", 1.5, -2.0, -0.5),
        ("min", 1.5, -2.0, -2.0),
        ("max", 1.5, -2.0, 1.5),
        # SQL passes over NULL ...
        *((how, None, 2.0, 2.0) for how in ("sum", "min", "max")),
        *((how, None, None, None) for how in ("sum", "min", "max")),
        # ... and takes NaN for greater than every number
        ("sum", NAN, 2.0, NAN),
        ("min", NAN, math.inf, math.inf),
        ("max", NAN, math.inf, NAN),
        *((how, NAN, NAN, NAN) for how in ("min", "max")),
        *((how, NAN, None, NAN) for how in ("min", "max")),
    ],
)
def test_partials_merge_as_sql_does(
    how: str, a: float | None, b: float | None, merged: float | None
) -> None:
    key = f"m.:table.0f.0.{how}"
    for one, other in ((a, b), (b, a)):
        found = merge_partials({key: one}, {key: other})
        assert found == (
            {key: pytest.approx(merged, nan_ok=True)} if merged is not None else {key: None}
        )


def test_what_one_side_does_not_know_is_left_out_of_the_merged_partials() -> None:
    assert merge_partials({"a.sum": 1.0, "b.sum": 1.0}, {"b.sum": 2.0, "c.max": 3.0}) == {
        "b.sum": 3.0
    }


@pytest.mark.parametrize("stored", [None, [], {}])
def test_hours_from_before_there_were_custom_metrics_have_no_partials(stored: Any) -> None:
    assert as_partials(stored) == {}


def test_partials_come_back_from_arrow_pairs() -> None:
    assert as_partials([("a.sum", 1.0), ("b.max", None)]) == {"a.sum": 1.0, "b.max": None}
