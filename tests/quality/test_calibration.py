from functools import reduce
from typing import Any

import numpy as np
import pytest

from lakehouse.quality.calibration import CALIBRATION_BINS, Calibration
from lakehouse.quality.classification import QualityFacts, metrics_of

CLASSES = ["a", "b", "c"]


def _rows(seed: int, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of a classifier that is surer than it should be."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.4] * 3, n)
    return p, np.array([rng.choice(CLASSES, p=0.6 * row + 0.4 / 3) for row in p])


def _facts(probabilities: Any, labels: Any) -> QualityFacts:
    return QualityFacts.of(
        np.array(CLASSES)[np.argmax(probabilities, axis=1)], labels, probabilities, CLASSES
    )


def _guo(probabilities: np.ndarray, right: np.ndarray) -> float:
    """As in the authors' own loop over bins that are open at the lower and closed at the
    upper end.
    """
    confidence, error = probabilities.max(axis=1), 0.0
    for i in range(CALIBRATION_BINS):
        within = (confidence > i / CALIBRATION_BINS) & (confidence <= (i + 1) / CALIBRATION_BINS)
        if within.any():
            error += within.mean() * abs(right[within].mean() - confidence[within].mean())
    return error


@pytest.mark.parametrize("seed", range(6))
def test_the_calibration_error_is_guos(seed: int):
    probabilities, labels = _rows(seed)
    right = np.array(CLASSES)[probabilities.argmax(axis=1)] == labels
    error = metrics_of(_facts(probabilities, labels))["expected_calibration_error"]
    assert error == pytest.approx(_guo(probabilities, right), rel=1e-12)
    assert error > 0.1


def test_the_calibration_error_by_hand():
    probabilities = [[0.9, 0.1, 0], [0.91, 0.09, 0], [0.3, 0.5, 0.2], [0.5, 0.5, 0.0]]
    error = metrics_of(_facts(probabilities, ["a", "b", "b", "a"]))["expected_calibration_error"]
    assert error == pytest.approx((abs(1 - 1.81) + abs(2 - 1.0)) / 4)


@pytest.mark.parametrize("i", range(CALIBRATION_BINS))
def test_a_bin_holds_its_upper_edge_and_not_its_lower_one(i: int):
    edges = np.array([i / CALIBRATION_BINS, (i + 1) / CALIBRATION_BINS])
    counts = Calibration.of(np.nextafter(edges, 2)[:, None], np.ones((2, 1), dtype=bool)).rows
    assert counts[i] == 1 + (i == CALIBRATION_BINS - 1)
    assert Calibration.of(edges[1:, None], np.ones((1, 1), dtype=bool)).rows[i] == 1


def test_being_right_is_about_the_highest_probability_and_not_about_the_prediction():
    facts = QualityFacts.of([1], [1], [[0.7, 0.3]], [0, 1])
    assert facts.n_right == 1
    assert metrics_of(facts)["expected_calibration_error"] == pytest.approx(0.7)


def test_a_label_that_the_classifier_does_not_know_is_never_right():
    facts = QualityFacts.of(["a"], ["z"], [[0.6, 0.3, 0.1]], CLASSES)
    assert metrics_of(facts)["expected_calibration_error"] == pytest.approx(0.6)


@pytest.mark.parametrize("parts", [2, 7, 60])
def test_calibrations_of_any_split_merge_to_that_of_the_whole(parts: int):
    probabilities, labels = _rows(1)
    whole = _facts(probabilities, labels).calibration
    pieces = zip(np.array_split(probabilities, parts), np.array_split(labels, parts), strict=True)
    merged = reduce(
        QualityFacts.merge, (_facts(*piece) for piece in pieces), QualityFacts.empty(CLASSES)
    ).calibration
    assert whole is not None
    assert merged is not None
    assert (merged.rows, merged.right) == (whole.rows, whole.right)
    assert merged.confidence == pytest.approx(whole.confidence, rel=1e-12)


@pytest.mark.parametrize("written", [{}, {"calibration": None}])
def test_what_an_older_version_wrote_leaves_the_calibration_unknown_but_not_the_rest(
    written: dict[str, Any],
):
    facts = _facts(*_rows(2))
    old = QualityFacts.from_row(
        {k: v for k, v in facts.to_row().items() if k != "calibration"} | written
    )
    for either in (old, old.merge(facts), facts.merge(old)):
        assert either.calibration is None
        assert metrics_of(either)["expected_calibration_error"] is None
        assert metrics_of(either)["brier_score"] is not None
        assert QualityFacts.from_row(either.to_row()) == either


def test_an_older_row_without_scored_rows_hides_nothing():
    old = QualityFacts.of(["a"], [None], None, CLASSES).to_row() | {"calibration": None}
    assert (
        QualityFacts.from_row(old).merge(_facts(*_rows(2))).calibration
        == _facts(*_rows(2)).calibration
    )


def test_rows_without_probabilities_have_no_calibration_error():
    assert (
        metrics_of(QualityFacts.of(["a"], ["a"], None, CLASSES))["expected_calibration_error"]
        is None
    )
