import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lakehouse.profiling.coding import coded
from lakehouse.quality import classification, regression
from lakehouse.quality.classification import QualityFacts
from lakehouse.quality.facts import Quality, quality_from_row, quality_metrics
from lakehouse.quality.regression import RegressionFacts

CLASSIFIER = QualityFacts.of(
    [1, 0, 1], [1, 1, None], [[0.2, 0.8], [0.6, 0.4], [0.1, 0.9]], [0, 1], None, [0, 1, 1]
)
REGRESSOR = RegressionFacts.of([1.0, 5.0, 2.0], [1.25, 2.0, None], 0.5, [0.0, 2.0, 1.0])
BOTH = pytest.mark.parametrize("facts", [CLASSIFIER, REGRESSOR])


@BOTH
def test_facts_of_either_kind_count_rows_labels_and_right_and_wrong(facts: Quality):
    assert (facts.n_rows, facts.n_labelled, facts.n_right, facts.n_right_without_retraining) == (
        3,
        2,
        1,
        1,
    )


@BOTH
def test_facts_of_either_kind_come_back_from_a_struct_that_has_the_fields_of_both(facts: Quality):
    nothing = dict.fromkeys([*CLASSIFIER.to_row(), *REGRESSOR.to_row()])
    assert quality_from_row(json.loads(json.dumps(nothing | facts.to_row()))) == facts


@BOTH
def test_a_row_says_how_many_were_right(facts: Quality):
    assert facts.to_row()["n_right"] == 1


@BOTH
def test_each_kind_has_its_own_metrics(facts: Quality):
    names = {QualityFacts: classification.METRICS, RegressionFacts: regression.METRICS}
    assert tuple(quality_metrics(facts)) == names[type(facts)]
    assert quality_metrics(facts)["accuracy_without_retraining"] == 0.5


@pytest.mark.parametrize("others", [None, [1, None, 1]])
def test_what_another_classifier_would_have_got_right_is_unknown_unless_it_is_of_all_labelled_rows(
    others: Any,
):
    unknown = QualityFacts.of([1, 0, 1], [1, 1, None], None, [0, 1], None, others)
    known = QualityFacts.of([1], [1], None, [0, 1], None, [1])
    unlabelled = QualityFacts.of([1], [None], None, [0, 1], None, [None])
    assert unknown.n_right_without_retraining is None
    assert quality_metrics(unknown)["accuracy_without_retraining"] is None
    assert (
        known.merge(unknown).n_right_without_retraining
        is unknown.merge(known).n_right_without_retraining
        is None
    )
    assert (
        known.merge(unlabelled).n_right_without_retraining
        == unlabelled.merge(known).n_right_without_retraining
        == 1
    )


def test_another_classifier_is_right_where_its_prediction_has_the_labels_text():
    facts = QualityFacts.of([1, 1, 1, 1], [1, 0, 2, None], None, [0, 1], None, [1.0, 1.0, 3.0, 1.0])
    assert facts.n_right_without_retraining == 1


def test_an_older_row_does_not_know_what_another_model_would_have_got_right():
    for facts, expected in ((CLASSIFIER, None), (QualityFacts.of([1], [None], None, [0, 1]), 0)):
        row = facts.to_row()
        del row["n_right_without_retraining"]
        assert QualityFacts.from_row(row).n_right_without_retraining == expected


def test_an_older_row_without_labels_hides_nothing():
    known = QualityFacts.of([1], [1], None, [0, 1], None, [1])
    old = QualityFacts.from_row(
        QualityFacts.of([1], [None], None, [0, 1]).to_row() | {"n_right_without_retraining": None}
    )
    assert (
        known.merge(old).n_right_without_retraining
        == old.merge(known).n_right_without_retraining
        == 1
    )


def test_values_that_are_written_alike_have_one_code():
    codes, texts = coded(["1", 1, "0", None, 1.0])
    assert (codes.tolist(), texts) == ([0, 0, 1, -1, 0], ("1", "0"))


@pytest.mark.parametrize(
    "values",
    [
        [1, None, 0, 1],
        [1.0, float("nan"), 0.0, 1.0],
        np.array([1.0, np.nan, 0.0, 1.0]),
        np.array([1, None, 0, 1], dtype=object),
        pd.Series([1, None, 0, 1], dtype="Int64"),
        pd.Series([1, None, 0, 1]),
        pa.array([1, None, 0, 1]),
        pa.array([1.0, float("nan"), 0.0, 1.0]),
        pa.chunked_array([[1, None], [0, 1]]),
        pa.array(["1", None, "0", "1"]).dictionary_encode(),
    ],
)
def test_values_of_any_container_have_the_same_codes(values: Any):
    codes, texts = coded(values)
    assert codes.tolist() == [0, -1, 1, 0]
    assert texts == ("1", "0")


def test_large_whole_numbers_keep_their_own_codes_beside_missing_ones():
    for values in ([2**53, 2**53 + 1, None], pa.array([2**53, 2**53 + 1, None])):
        assert coded(values).texts == (str(2**53), str(2**53 + 1))


def test_no_values_have_no_codes():
    for values in ([], pa.array([], pa.int64()), pd.Series([], dtype=object)):
        assert (coded(values).codes.tolist(), coded(values).texts) == ([], ())
    assert coded([None, None]).places_in(["1"]).tolist() == [-1, -1]
