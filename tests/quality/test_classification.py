import json
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from lakehouse.quality.classification import METRICS, QualityFacts, metrics_of
from lakehouse.quality.scores import SCORE_BINS, ScoreHistogram

GRADES = ["bad", "fair", "good", "prime"]


def _binary(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, labels and probabilities of 0 and 1."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.7, 0.7, n)
    p[:5] = [0.0, 1.0, 0.0, 1.0, 0.5]
    labels = (rng.uniform(size=n) < 0.2 + 0.6 * p).astype(int)
    labels[:4] = [1, 0, 0, 1]
    return (p > 0.5).astype(int), labels, np.column_stack([1 - p, p])


def _graded(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.6] * len(GRADES), n)
    labels = np.array([rng.choice(GRADES, p=0.5 * row + 0.125) for row in p])
    return np.array(GRADES)[p.argmax(axis=1)], labels, p


@pytest.mark.parametrize("seed", range(8))
def test_accuracy_precision_recall_and_f1_are_scikit_learns(seed: int):
    rng = np.random.default_rng(seed)
    predictions, labels = rng.choice(GRADES[: 2 + seed % 3], 60), rng.choice(GRADES[seed % 2 :], 60)
    metrics = metrics_of(QualityFacts.of(predictions, labels, None, GRADES))
    classes = sorted(set(predictions) | set(labels))
    assert metrics["accuracy_score"] == pytest.approx(accuracy_score(labels, predictions))
    for average in ("macro", "weighted", None):
        expected = precision_recall_fscore_support(
            labels, predictions, labels=classes, average=average, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1_score"), expected, strict=False):
            if average:
                assert metrics[name][average] == pytest.approx(value), (name, average)
            else:
                assert metrics[name]["one_vs_all"] == pytest.approx(
                    dict(zip(classes, value, strict=True))
                ), name


def test_the_confusion_matrix_lists_pairs_that_occur_in_order():
    facts = QualityFacts.of([1, 0, 1, 1], [1.0, 1.0, np.nan, 1.0], None, [0, 1])
    assert metrics_of(facts)["confusion_matrix"] == [
        {"prediction": "0", "label": "1", "count": 1},
        {"prediction": "1", "label": "1", "count": 2},
    ]


def test_the_confusion_matrix_is_scikit_learns():
    predictions, labels, probabilities = _graded(3)
    expected = confusion_matrix(labels, predictions, labels=GRADES)
    for cell in metrics_of(QualityFacts.of(predictions, labels, probabilities, GRADES))[
        "confusion_matrix"
    ]:
        assert (
            expected[GRADES.index(cell["label"]), GRADES.index(cell["prediction"])] == cell["count"]
        )


@pytest.mark.parametrize("seed", range(5))
def test_binary_losses_are_scikit_learns_even_where_a_probability_is_0_or_1(seed: int):
    predictions, labels, probabilities = _binary(seed)
    metrics = metrics_of(QualityFacts.of(predictions, labels, probabilities, [0, 1]))
    assert metrics["log_loss"] == pytest.approx(log_loss(labels, probabilities), rel=1e-12)
    assert metrics["log_loss"] > 0.1, "rows given probability 0 are in it"
    assert metrics["brier_score"] == pytest.approx(
        brier_score_loss(labels, probabilities[:, 1]), rel=1e-12
    )


@pytest.mark.parametrize("seed", range(5))
def test_losses_of_many_classes_are_scikit_learns(seed: int):
    predictions, labels, probabilities = _graded(seed)
    metrics = metrics_of(QualityFacts.of(predictions, labels, probabilities, GRADES))
    assert metrics["log_loss"] == pytest.approx(
        log_loss(labels, probabilities, labels=GRADES), rel=1e-12
    )
    assert metrics["brier_score"] == pytest.approx(
        brier_score_loss(labels, probabilities, labels=GRADES), rel=1e-12
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_binary_auc_is_scikit_learns_within_its_stated_error(seed: int):
    predictions, labels, probabilities = _binary(seed)
    facts = QualityFacts.of(predictions, labels, probabilities, [0, 1])
    error = facts.histograms["1"].auc_error
    assert error is not None
    assert 0 < error < 0.01
    assert metrics_of(facts)["roc_auc_score"] == pytest.approx(
        roc_auc_score(labels, probabilities[:, 1]), abs=error
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_auc_of_scores_that_share_no_bin_unless_tied_is_exact(seed: int):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 12, 300) / 12
    labels = rng.uniform(size=300) < scores
    assert ScoreHistogram.of(scores, labels).auc == pytest.approx(
        roc_auc_score(labels, scores), rel=1e-12
    )


def test_the_auc_of_many_classes_is_the_one_vs_rest_mean():
    predictions, labels, probabilities = _graded(5)
    facts = QualityFacts.of(predictions, labels, probabilities, GRADES)
    expected = roc_auc_score(
        labels, probabilities, multi_class="ovr", average="macro", labels=GRADES
    )
    error = max(scores.auc_error or 0 for scores in facts.histograms.values())
    assert metrics_of(facts)["roc_auc_score"] == pytest.approx(expected, abs=error)


def test_a_class_that_no_row_is_of_is_left_out_of_the_mean_auc():
    predictions, labels, probabilities = _graded(6)
    kept = labels != "prime"
    facts = QualityFacts.of(predictions[kept], labels[kept], probabilities[kept], GRADES)
    present = [facts.histograms[grade].auc for grade in GRADES[:3]]
    assert metrics_of(facts)["roc_auc_score"] == pytest.approx(
        np.mean([auc for auc in present if auc is not None])
    )


def test_labels_of_one_class_have_no_auc_but_all_the_rest():
    facts = QualityFacts.of([1, 0], [1, 1], [[0.2, 0.8], [0.6, 0.4]], [0, 1])
    metrics = metrics_of(facts)
    assert metrics["roc_auc_score"] is None
    assert metrics["accuracy_score"] == 0.5
    assert metrics["log_loss"] == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)


def test_a_class_that_labels_no_longer_have_changes_no_figure_of_the_two_others():
    chance = np.random.default_rng(3)
    labels, scores = chance.integers(0, 2, 200), chance.random(200)
    both = np.column_stack([1 - scores, scores])
    two = QualityFacts.of(scores.round().astype(int), labels, both, [0, 1], positive=1)
    three = QualityFacts.of(
        scores.round().astype(int),
        labels,
        np.column_stack([both[:, 0], np.zeros(200), both[:, 1]]),
        [0, 9, 1],
        1,
    )
    found, expected = metrics_of(three), metrics_of(two)
    assert {name: found[name] for name in expected} == expected
    assert expected["roc_auc_score"] is not None


def test_the_positive_class_can_be_the_first_one():
    predictions, labels, probabilities = _binary(9)
    facts = QualityFacts.of(predictions, labels, probabilities, [0, 1], positive=0)
    assert list(facts.histograms) == ["0"]
    error = facts.histograms["0"].auc_error
    assert metrics_of(facts)["roc_auc_score"] == pytest.approx(
        roc_auc_score(labels == 0, probabilities[:, 0]), abs=error
    )
    assert metrics_of(facts)["brier_score"] == pytest.approx(
        brier_score_loss(labels == 0, probabilities[:, 0])
    )


def test_every_probability_is_in_a_bin_and_the_ends_are_in_the_outermost():
    histogram = ScoreHistogram.of(
        np.array([0.0, 1e-9, 0.9999, 1.0]), np.array([True, True, False, False])
    )
    assert histogram.positives[0] == 2
    assert histogram.negatives[SCORE_BINS - 1] == 2


def test_probabilities_crowded_near_the_ends_are_distinguished():
    scores = np.array([0.010, 0.011, 0.012, 0.990, 0.991, 0.992])
    is_positive = np.array([False, True, False, True, False, True])
    assert ScoreHistogram.of(scores, is_positive).auc == pytest.approx(
        roc_auc_score(is_positive, scores)
    )


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_rows_whose_label_has_not_arrived_are_counted_and_not_judged(missing: Any):
    facts = QualityFacts.of(
        [1, 0, 1], [1, missing, 0], [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [0, 1]
    )
    judged = QualityFacts.of([1, 1], [1, 0], [[0.1, 0.9], [0.3, 0.7]], [0, 1])
    assert (facts.n_rows, facts.n_labelled, facts.n_scored) == (3, 2, 2)
    assert metrics_of(facts) == metrics_of(judged)


def test_nothing_labelled_has_no_metric():
    facts = QualityFacts.of([1, 0], [None, None], [[0.1, 0.9], [0.8, 0.2]], [0, 1])
    assert metrics_of(facts) == dict.fromkeys(METRICS)
    assert metrics_of(QualityFacts.of([], [], np.empty((0, 2)), [0, 1])) == dict.fromkeys(METRICS)


def test_rows_without_probabilities_are_in_the_confusion_alone():
    facts = QualityFacts.of([1, 0], [1, 1], [[0.2, 0.8], [np.nan, np.nan]], [0, 1])
    assert (facts.n_labelled, facts.n_scored) == (2, 1)
    assert metrics_of(facts)["brier_score"] == pytest.approx(0.04)
    bare = metrics_of(QualityFacts.of([1, 0], [1, 1], None, [0, 1]))
    assert (
        bare["accuracy_score"],
        bare["log_loss"],
        bare["roc_auc_score"],
        bare["brier_score"],
    ) == (
        0.5,
        None,
        None,
        None,
    )


def test_a_label_that_the_classifier_does_not_know_costs_the_clipped_loss():
    facts = QualityFacts.of(["a"], ["c"], [[0.6, 0.4]], ["a", "b"])
    assert metrics_of(facts)["log_loss"] == pytest.approx(-np.log(np.finfo(float).eps))
    assert metrics_of(facts)["recall"]["one_vs_all"] == {"a": 0.0, "c": 0.0}


@pytest.mark.parametrize("case", ["binary", "graded"])
@pytest.mark.parametrize("parts", [2, 7, 40])
def test_facts_of_any_split_merge_to_the_facts_of_the_whole(case: str, parts: int):
    predictions, labels, probabilities = _binary(2) if case == "binary" else _graded(2)
    labels = labels.astype(object)
    labels[::9] = None
    classes = [0, 1] if case == "binary" else GRADES
    whole = QualityFacts.of(predictions, labels, probabilities, classes)
    pieces = [
        QualityFacts.of(predictions[rows], labels[rows], probabilities[rows], classes)
        for rows in np.array_split(np.random.default_rng(parts).permutation(len(labels)), parts)
    ]
    merged = reduce(QualityFacts.merge, pieces, QualityFacts.empty(classes))
    for name in ("n_rows", "n_labelled", "n_scored", "confusion", "histograms"):
        assert getattr(merged, name) == getattr(whole, name), name
    assert merged.sum_log_loss == pytest.approx(whole.sum_log_loss, rel=1e-12)
    assert merged.sum_brier == pytest.approx(whole.sum_brier, rel=1e-12)


def test_facts_survive_the_way_through_a_row_of_plain_values():
    predictions, labels, probabilities = _graded(1)
    for facts in (
        QualityFacts.of(predictions, labels, probabilities, GRADES),
        QualityFacts.empty([0, 1]),
    ):
        assert QualityFacts.from_row(json.loads(json.dumps(facts.to_row()))) == facts


def test_classes_have_the_same_text_as_numbers_of_any_type():
    facts = QualityFacts.of(
        np.array([1.0, 0.0]), pd.Series([1, None], dtype="Int64"), None, np.array([0, 1])
    )
    assert (facts.classes, facts.positive, facts.confusion) == (("0", "1"), "1", {("1", "1"): 1})


def test_booleans_of_any_container_are_one_class():
    facts = QualityFacts.of(
        np.array([True, False]), [True, True], [[0.1, 0.9], [0.6, 0.4]], [False, True]
    )
    assert facts.confusion == {("true", "true"): 1, ("false", "true"): 1}
    assert facts.sum_brier == pytest.approx(0.01 + 0.36)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([1], [1, 0], None, [0, 1]), "1 predictions and 2 labels"),
        (([1], [1], [[0.2, 0.3, 0.5]], [0, 1]), "shape"),
        (([1], [1], [[-0.1, 1.1]], [0, 1]), "below 0 or above 1"),
        (([None], [1], None, [0, 1]), "prediction is missing"),
        (
            ([1], [1], None, [0, 1], None, [1, 1]),
            "1 predictions and 2 predictions without retraining",
        ),
        (([1], [1], None, [0, 1], 2), "positive class"),
    ],
)
def test_impossible_rows_are_refused_with_what_to_pass(arguments: tuple[Any, ...], says: str):
    with pytest.raises(ValueError, match=says):
        QualityFacts.of(*arguments)


def test_facts_of_different_classes_do_not_merge():
    with pytest.raises(ValueError, match="different classes"):
        QualityFacts.empty([0, 1]).merge(QualityFacts.empty([0, 1], positive=0))
