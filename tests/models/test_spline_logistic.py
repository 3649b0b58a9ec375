import json

import numpy as np
import pytest

from lakehouse.models.expected_error import spline_logistic
from lakehouse.models.expected_error.spline_logistic import (
    BIN_EDGES,
    N_BINS,
    SplineLogistic,
    fit_spline_logistic,
    knots_of,
    spline_basis,
)

RNG = np.random.default_rng(0)
FEATURES = np.column_stack([RNG.uniform(0, 10, 4_000), RNG.normal(0, 1, 4_000)])
CHANCE = 1 / (1 + np.exp(-3 * (FEATURES[:, 0] - 5)))
CODES = (RNG.random(4_000) < CHANCE).astype(int)
CALLS = (CHANCE > 0.5).astype(int)


def test_expected_errors_are_the_shares_of_wrong_predictions():
    expected_error = fit_spline_logistic(FEATURES[:2_000], CODES[:2_000], 2)
    found = expected_error.of_predictions(FEATURES[2_000:], CALLS[2_000:])
    wrong = CALLS[2_000:] != CODES[2_000:]
    for low, high in ((0.0, 0.03), (0.03, 0.25), (0.25, 0.6)):
        rows = (found >= low) & (found < high)
        assert rows.sum() > 50
        assert wrong[rows].mean() == pytest.approx(found[rows].mean(), abs=0.06)


def test_a_row_far_from_the_boundary_is_easy_and_one_at_it_is_hard():
    expected_error = fit_spline_logistic(FEATURES, CODES, 2)
    easy, hard = expected_error.bins_of_predictions(
        np.array([[0.5, 0.0], [5.0, 0.0]]), np.array([0, 0])
    )
    assert easy == 0
    assert hard >= N_BINS - 2


def test_bins_begin_at_their_edges():
    class Fixed(SplineLogistic):
        def of_predictions(self, features, predictions):
            return features[:, 0]

    values = np.array([[0.0], [BIN_EDGES[0]], [BIN_EDGES[-1]], [1.0]])
    assert list(Fixed((), (), (), ()).bins_of_predictions(values, np.zeros(4, int))) == [
        0,
        1,
        N_BINS - 1,
        N_BINS - 1,
    ]


def test_it_survives_json():
    expected_error = fit_spline_logistic(FEATURES, CODES, 2)
    again = SplineLogistic.from_json(json.loads(json.dumps(expected_error.to_json())))
    assert again == expected_error
    assert np.array_equal(again.chances(FEATURES), expected_error.chances(FEATURES))


def test_rounded_heights_hardly_change_a_bin(monkeypatch: pytest.MonkeyPatch):
    """Of forty features and ten classes."""
    features = np.random.default_rng(1).normal(size=(900, 40))
    labels = features[:, :10].argmax(axis=1)
    rounded = fit_spline_logistic(features, labels, 10)
    monkeypatch.setattr(spline_logistic, "_DECIMALS", 17)
    exact = fit_spline_logistic(features, labels, 10)
    assert rounded != exact
    others = np.random.default_rng(2).normal(size=(5_000, 40))
    assert np.abs(rounded.chances(others) - exact.chances(others)).max() < 0.002
    said = exact.chances(others).argmax(axis=1)
    bins = (each.bins_of_predictions(others, said) for each in (rounded, exact))
    assert np.equal(*bins).mean() > 0.998


def test_a_missing_value_has_an_expected_error_of_its_own():
    features = FEATURES.copy()
    features[::5, 0] = np.nan
    labels = CODES.copy()
    labels[::5] = RNG.random(800) < 0.9
    missing = fit_spline_logistic(features, labels, 2).chances(np.array([[np.nan, 0.0]]))[0, 1]
    assert missing == pytest.approx(0.9, abs=0.05)


def test_three_classes_share_one():
    labels = np.digitize(FEATURES[:, 0], [3.0, 7.0])
    chances = fit_spline_logistic(FEATURES, labels, 3).chances(
        np.array([[1.0, 0.0], [5.0, 0.0], [9.0, 0.0]])
    )
    assert chances.sum(axis=1) == pytest.approx(np.ones(3))
    assert list(chances.argmax(axis=1)) == [0, 1, 2]


@pytest.mark.parametrize("code", [0, 1])
def test_a_single_class_is_sure(code: int):
    expected_error = fit_spline_logistic(FEATURES, np.full(len(CODES), code), 2)
    assert expected_error.of_predictions(FEATURES[:5], np.full(5, code)).max() < 0.001


def test_the_basis_of_a_spline_is_a_piecewise_line_for_each_knot_and_a_flag_of_what_is_missing():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(500, 5))
    features[:, 1] = 7  # one knot
    features[:, 2] = rng.integers(0, 2, 500)
    features[:, 3] = np.nan
    features[rng.random(features.shape) < 0.1] = np.nan
    knots = tuple(knots_of(column) for column in features.T)
    asked = features.copy()
    asked[:20], asked[20:40] = -1e35, 1e35  # beyond what was known
    asked[40 : 40 + len(knots[0]), 0] = knots[0]
    basis = spline_basis(asked, knots)
    columns = []
    for column, at in zip(asked.T, knots, strict=True):
        is_missing = np.isnan(column)
        for height in np.eye(len(at)):
            columns.append(np.where(is_missing, 0, np.interp(column, at, height)))
        columns.append(is_missing)
    np.testing.assert_array_equal(basis.toarray(), np.column_stack(columns))
    assert basis.nnz == 2 * features.size, "at most two hats of a feature are kept"
