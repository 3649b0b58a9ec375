"""How far a version's numbers are off is counted of the rows, and in the bins, of its record."""

import numpy as np
import pytest

from lakehouse.models.expected_error.spline_logistic import N_BINS
from lakehouse.retraining.absolute_errors import absolute_errors_of
from tests.benchmarks.expected_accuracy import PROBLEMS, drawn, trained


def test_absolute_errors_are_counted_in_the_bins_of_the_record():
    version = trained(np.random.default_rng(5), PROBLEMS["numbers"], "decision_tree", 400)
    found = version.expects.absolute_errors
    assert found is not None
    errors = version.record.version.errors
    assert found.judged.tolist() == errors.judged.tolist()
    assert (errors.judged > 0).sum() > 2
    distances = np.abs(version.fitted.predictions - version.rows.labels)
    assert found.total.sum() == pytest.approx(distances.sum())
    assert found.squares.sum() == pytest.approx((distances**2).sum())
    means = found.total[errors.judged > 20] / found.judged[errors.judged > 20]
    assert (np.diff(means) > 0).all()  # bins of harder rows are farther off


def test_of_the_records_features_alone():
    problem = PROBLEMS["numbers"]
    version = trained(np.random.default_rng(6), problem, "ridge_regression", 200)
    more = drawn(np.random.default_rng(6), problem, 200, "the same")
    wider = type(more)(
        ("gone", *more.names),
        np.column_stack([np.full(200, np.nan), version.rows.features]),
        version.rows.labels,
        more.event_time,
        more.label_time,
        problem,
    )
    found = absolute_errors_of(version.record, version.fitted, wider)
    assert found is not None
    assert found.judged.tolist() == version.record.version.errors.judged.tolist()
    assert len(found.judged) == N_BINS


def test_a_classifier_has_none():
    version = trained(np.random.default_rng(5), PROBLEMS["two classes"], "logistic_regression", 200)
    assert absolute_errors_of(version.record, version.fitted, version.rows) is None
