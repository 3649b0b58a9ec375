import json

import numpy as np
import pytest

from lakehouse.models.expected_error.spline_logistic import (
    BIN_EDGES,
    N_BINS,
    SplineLogistic,
    fit_spline_logistic,
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
