import json
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    r2_score,
    root_mean_squared_error,
)

from lakehouse.quality.regression import METRICS, RegressionFacts, metrics_of

RNG = np.random.default_rng(4)
LABELS = RNG.normal(1e6, 3, 500)
PREDICTIONS = LABELS + RNG.standard_t(2, 500)
ELSEWHERE = LABELS + RNG.standard_t(2, 500) + 2
TOLERANCE = 1.5


def test_metrics_are_scikit_learns():
    for labels, predictions in (
        (LABELS, PREDICTIONS),
        (LABELS - 1e6, PREDICTIONS),
        (LABELS, PREDICTIONS + 1e9),
        (np.append(LABELS, 0), np.append(PREDICTIONS, 1)),
    ):
        metrics = metrics_of(RegressionFacts.of(predictions, labels, TOLERANCE))
        assert metrics["mean_squared_error"] == pytest.approx(
            mean_squared_error(labels, predictions), rel=1e-12
        )
        assert metrics["root_mean_squared_error"] == pytest.approx(
            root_mean_squared_error(labels, predictions)
        )
        assert metrics["mean_average_error"] == pytest.approx(
            mean_absolute_error(labels, predictions), rel=1e-12
        )
        expected = mean_absolute_percentage_error(labels, predictions)
        assert metrics["mean_absolute_percentage_error"] == pytest.approx(expected, rel=1e-12)
        assert metrics["r2_score"] == pytest.approx(r2_score(labels, predictions), rel=1e-9)


@pytest.mark.parametrize("n", [2, 3, 49])
def test_labels_without_spread_have_the_r2_of_scikit_learn(n: int):
    labels = np.full(n, 0.1)
    right, wrong = (
        metrics_of(RegressionFacts.of(labels + error, labels, 1))["r2_score"] for error in (0, 1)
    )
    assert (right, wrong) == (1, 0) == (r2_score([5, 5], [5, 5]), r2_score([5, 5], [5, 6]))
    halves = [RegressionFacts.of(part + 1, part, 1) for part in np.array_split(labels, 2)]
    assert metrics_of(halves[0].merge(halves[1]))["r2_score"] == 0
    assert metrics_of(RegressionFacts.of([5.0], [4.0], 1))["r2_score"] is None


@pytest.mark.parametrize("parts", [2, 9, 100])
def test_facts_of_any_split_merge_to_the_facts_of_the_whole(parts: int):
    pieces = zip(
        *(np.array_split(each, parts) for each in (PREDICTIONS, LABELS, ELSEWHERE)), strict=True
    )
    merged = reduce(
        RegressionFacts.merge,
        (
            RegressionFacts.of(predicted, labels, TOLERANCE, other)
            for predicted, labels, other in pieces
        ),
        RegressionFacts.empty(TOLERANCE),
    )
    whole = RegressionFacts.of(PREDICTIONS, LABELS, TOLERANCE, ELSEWHERE)
    for name in ("n_rows", "n_labelled", "n_right", "n_right_without_retraining"):
        assert getattr(merged, name) == getattr(whole, name), name
    assert metrics_of(merged) == pytest.approx(metrics_of(whole), rel=1e-9)


def test_a_small_error_beside_a_large_bias_survives_merging():
    labels, errors = RNG.normal(size=400), 1e8 + RNG.normal(size=400)
    parts = zip(np.array_split(labels + errors, 40), np.array_split(labels, 40), strict=True)
    merged = reduce(RegressionFacts.merge, (RegressionFacts.of(*part, TOLERANCE) for part in parts))
    # Errors are differences of doubles near 1e8, whose own rounding is 1e-8.
    assert merged.errors.stddev == pytest.approx(np.std(errors, ddof=1), rel=1e-6)


def test_a_row_is_right_up_to_the_tolerance():
    facts = RegressionFacts.of([1.0, 2.5, 2.75, np.inf], [1.0, 2.0, 2.0, None], 0.5)
    assert (facts.n_rows, facts.n_labelled, facts.n_right) == (4, 3, 2)


def test_rows_whose_label_has_not_arrived_are_counted_and_not_judged():
    facts = RegressionFacts.of([1.0, np.nan, 4.0], [3.0, None, np.nan], TOLERANCE)
    assert (facts.n_rows, facts.n_labelled, facts.errors.mean, facts.sum_absolute_error) == (
        3,
        1,
        -2.0,
        2.0,
    )
    assert metrics_of(RegressionFacts.of([1.0], [None], TOLERANCE)) == dict.fromkeys(METRICS)


def test_numbers_of_any_container_are_read():
    facts = RegressionFacts.of(
        pd.Series([1, 3], dtype="Int64"), pd.Series([1, None], dtype="Int64"), TOLERANCE
    )
    assert facts == RegressionFacts.of([1.0, 3.0], [1.0, None], TOLERANCE)


def test_what_another_model_would_have_got_right_is_a_share_of_the_labelled_rows():
    facts = RegressionFacts.of([1.0, 1.0, 1.0], [1.0, 2.0, None], 0.5, [5.0, 2.0, None])
    assert facts.n_right_without_retraining == 1
    assert metrics_of(facts)["accuracy_without_retraining"] == 0.5


@pytest.mark.parametrize("others", [None, [1.0, None]])
def test_what_another_model_would_have_got_right_is_unknown_unless_it_is_of_all_labelled_rows(
    others: Any,
):
    facts = RegressionFacts.of([1.0, 1.0], [1.0, 2.0], 0.5, others)
    known = RegressionFacts.of([1.0], [1.0], 0.5, [1.0])
    unlabelled = RegressionFacts.of([1.0], [None], 0.5)
    assert facts.n_right_without_retraining is None
    assert metrics_of(facts)["accuracy_without_retraining"] is None
    assert (
        known.merge(facts).n_right_without_retraining
        is facts.merge(known).n_right_without_retraining
        is None
    )
    assert (
        known.merge(unlabelled).n_right_without_retraining
        == 1
        == unlabelled.merge(known).n_right_without_retraining
    )


def test_facts_survive_the_way_through_a_row_of_plain_values():
    for facts in (
        RegressionFacts.of(PREDICTIONS, LABELS, TOLERANCE),
        RegressionFacts.of(PREDICTIONS, LABELS, TOLERANCE, ELSEWHERE),
        RegressionFacts.empty(TOLERANCE),
    ):
        row = json.loads(json.dumps(facts.to_row()))
        assert RegressionFacts.from_row(row) == facts
        assert RegressionFacts.from_row({**row, "confusion": None}) == facts, (
            "a struct of other models' facts, too"
        )


def test_impossible_rows_are_refused():
    with pytest.raises(ValueError, match="1 predictions, 2 labels"):
        RegressionFacts.of([1.0], [1.0, 2.0], TOLERANCE)
    with pytest.raises(ValueError, match="1 predictions without"):
        RegressionFacts.of([1.0, 1.0], [1.0, 2.0], TOLERANCE, [1.0])
    with pytest.raises(ValueError, match="not finite"):
        RegressionFacts.of([np.nan], [1.0], TOLERANCE)
    with pytest.raises(ValueError, match="tolerance of 0 or more"):
        RegressionFacts.of([1.0], [1.0], -1.0)
    with pytest.raises(ValueError, match="different tolerances"):
        RegressionFacts.empty(1.0).merge(RegressionFacts.empty(2.0))
