import numpy as np
import pytest

from lakehouse.retraining.policy.candidates.strips import PARTS, boundary_strips
from lakehouse.retraining.policy.records import Region
from tests.support.policy_rows import rows


def shares(regions, given, predictions):
    """Of each part, the share of the call's rows in it."""
    return [region.box(given)[predictions == region.code].mean() for region in regions]


def test_parts_are_the_lowest_and_highest_shares_of_each_feature_among_the_rows_of_a_call():
    rng = np.random.default_rng(1)
    predictions = np.arange(2_000) % 2
    features = rng.normal(0, 1, (2_000, 2)) + 9 * predictions[:, None]
    given = rows(features, 1 - predictions)
    found = boundary_strips(given, predictions)
    assert len(found) == 8 * len(PARTS)
    assert shares(found, given, predictions) == pytest.approx([*PARTS, *PARTS] * 4, abs=0.002)
    for code in (0, 1):
        own = [region.sides[0] for region in found if region.code == code]
        assert all(
            abs(edge - 9 * code) < 4 for _, *side in own for edge in side if np.isfinite(edge)
        )
        assert (
            sum(low == -np.inf for _, low, _ in own)
            == sum(high == np.inf for _, _, high in own)
            == 2 * len(PARTS)
        )


def test_parts_that_are_empty_or_hold_most_rows_or_are_the_same_are_left_out():
    predictions = np.zeros(100, int)
    features = np.column_stack([np.full(100, 3.0), np.repeat([0.0, 1.0], [70, 30])])
    assert boundary_strips(rows(features, predictions), predictions) == (
        Region((("pressure", 0.0, np.inf),), 0),
    )
    three = np.repeat([0.0, 1.0, 2.0], [30, 40, 30])[:, np.newaxis]
    ends = (Region((("x", -np.inf, 0.0),), 0), Region((("x", 1.0, np.inf),), 0))
    assert boundary_strips(rows(three, predictions, ("x",)), predictions) == ends


def test_missing_values_lie_in_no_part():
    features = np.column_stack(
        [np.full(400, np.nan), np.where(np.arange(400) % 2, np.arange(400.0), np.nan)]
    )
    given, predictions = rows(features, np.zeros(400, int)), np.zeros(400, int)
    found = boundary_strips(given, predictions)
    assert {name for region in found for name, *_ in region.sides} == {"pressure"}
    assert max(shares(found, given, predictions)) == pytest.approx(0.25, abs=0.01)
