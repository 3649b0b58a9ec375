import json
from functools import reduce

import numpy as np
import pytest
from sklearn.metrics import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    r2_score,
    root_mean_squared_error,
)

from lakehouse.statistics.regression import METRICS, RegressionFacts, metrics_of

RNG = np.random.default_rng(4)
LABELS = RNG.normal(1e6, 3, 500)
PREDICTIONS = LABELS + RNG.standard_t(2, 500)


def test_metrics_are_scikit_learns():
    for labels, predictions in (
        (LABELS, PREDICTIONS),
        (LABELS - 1e6, PREDICTIONS),
        (np.append(LABELS, 0), np.append(PREDICTIONS, 1)),
    ):
        metrics = metrics_of(RegressionFacts.of(predictions, labels))
        assert metrics["mean_squared_error"] == pytest.approx(mean_squared_error(labels, predictions))
        assert metrics["root_mean_squared_error"] == pytest.approx(root_mean_squared_error(labels, predictions))
        assert metrics["mean_average_error"] == pytest.approx(mean_absolute_error(labels, predictions))
        expected = mean_absolute_percentage_error(labels, predictions)
        assert metrics["mean_absolute_percentage_error"] == pytest.approx(expected)
        assert metrics["r2_score"] == pytest.approx(r2_score(labels, predictions), rel=1e-9)


def test_labels_without_spread_have_the_r2_of_scikit_learn():
    assert metrics_of(RegressionFacts.of([5.0, 5.0], [5.0, 5.0]))["r2_score"] == r2_score([5, 5], [5, 5]) == 1
    assert metrics_of(RegressionFacts.of([5.0, 6.0], [5.0, 5.0]))["r2_score"] == r2_score([5, 5], [5, 6]) == 0
    assert metrics_of(RegressionFacts.of([5.0], [4.0]))["r2_score"] is None


@pytest.mark.parametrize("parts", [2, 9, 100])
def test_facts_of_any_split_merge_to_the_facts_of_the_whole(parts: int):
    pieces = zip(np.array_split(PREDICTIONS, parts), np.array_split(LABELS, parts), strict=True)
    merged = reduce(RegressionFacts.merge, (RegressionFacts.of(*piece) for piece in pieces), RegressionFacts())
    whole = RegressionFacts.of(PREDICTIONS, LABELS)
    assert (merged.n_rows, merged.n_labelled) == (whole.n_rows, whole.n_labelled)
    assert merged.sum_error == pytest.approx(whole.sum_error)
    assert metrics_of(merged) == pytest.approx(metrics_of(whole), rel=1e-9)


def test_rows_whose_label_has_not_arrived_are_counted_and_not_judged():
    facts = RegressionFacts.of([1.0, np.nan, 4.0], [3.0, None, np.nan])
    assert (facts.n_rows, facts.n_labelled, facts.sum_error, facts.sum_absolute_error) == (3, 1, -2.0, 2.0)
    assert metrics_of(RegressionFacts.of([1.0], [None])) == dict.fromkeys(METRICS)


def test_facts_survive_the_way_through_a_row_of_plain_values():
    facts = RegressionFacts.of(PREDICTIONS, LABELS)
    assert RegressionFacts.from_row(json.loads(json.dumps(facts.to_row()))) == facts


def test_impossible_rows_are_refused():
    with pytest.raises(ValueError, match="1 predictions and 2 labels"):
        RegressionFacts.of([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="not finite"):
        RegressionFacts.of([np.nan], [1.0])
