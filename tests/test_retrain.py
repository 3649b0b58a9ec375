import datetime as dt

import numpy as np
import pandas as pd
import pytest

from lakehouse.estimators import Classification, CrossFit, Failed, Regression, problem_of
from lakehouse.settings import load_model_settings
from lakehouse.steps.retrain import (
    EVERYTHING,
    SINCE_CHANGE,
    SLIDING,
    best,
    example_places,
    features_of,
    training_set,
    trials_of,
)
from tests.rows import moment, write_parcel_settings, write_repair_settings

GLASSWARE = load_model_settings("conf/glassware.yaml")
START = moment("2019-07-01T00:00:00")


def labelled(days: int) -> pd.DataFrame:
    """Four pieces a day, every fourth of them bad."""
    n = np.arange(days * 4)
    times = pd.to_datetime([START + dt.timedelta(hours=6 * int(each)) for each in n])
    return pd.DataFrame(
        {"pid": n, "process_time": times, "temp": n * 1.0, "pressure": 0.0, "duration": 0.0, "quality": (n % 4 > 0) * 1}
    )


def test_a_first_model_takes_everything_and_is_judged_on_it():
    data = training_set(labelled(10), GLASSWARE, None)
    assert list(data.windows) == [EVERYTHING]
    assert data.windows[EVERYTHING].all()
    assert data.judged.all()
    assert list(data.rows.columns) == ["temp", "pressure", "duration"]


def test_after_a_change_three_windows_are_offered_and_each_holds_what_is_judged():
    change = START + dt.timedelta(days=15)
    data = training_set(labelled(20), GLASSWARE, change)
    times = labelled(20)["process_time"]
    np.testing.assert_array_equal(data.windows[SINCE_CHANGE], times >= change)
    np.testing.assert_array_equal(data.windows[SLIDING], times > times.max() - dt.timedelta(days=7))
    assert data.windows[EVERYTHING].all()
    np.testing.assert_array_equal(data.judged, times >= change)
    assert all((mask & data.judged).sum() == data.judged.sum() for mask in data.windows.values())


def test_the_sliding_window_grows_back_to_a_change_that_is_older():
    data = training_set(labelled(20), GLASSWARE, START + dt.timedelta(days=5))
    np.testing.assert_array_equal(data.windows[SLIDING], data.windows[SINCE_CHANGE])


def test_windows_with_the_same_rows_are_tried_once():
    families = {"decision_tree": {"max_depth": [1, 2]}}
    same = trials_of(training_set(labelled(20), GLASSWARE, START + dt.timedelta(days=5)), families)
    assert [trial.window for trial in same] == [SINCE_CHANGE, SINCE_CHANGE, EVERYTHING, EVERYTHING]
    short = trials_of(training_set(labelled(5), GLASSWARE, START), families)
    assert {trial.window for trial in short} == {SINCE_CHANGE}


def test_features_are_split_by_kind_and_labels_coded_in_the_order_of_classes(tmp_path):
    parcel = load_model_settings(write_parcel_settings(tmp_path))
    assert features_of(parcel).numeric == ("grams", "fragile", "found")
    assert features_of(parcel).categorical == ("lane",)
    assert parcel.classes == ("broken", "lost", "ok")
    assert problem_of(parcel).targets(pd.Series(["ok", "broken", "lost", "ok"])).tolist() == [2, 0, 1, 2]


@pytest.mark.parametrize(
    ("results", "place"),
    [
        ([(0.8, 0.5), (0.9, 0.9), None], 1),  # the most accurate
        ([(0.9, 0.5), (0.9, 0.4)], 1),  # of equals, the least log loss
        ([(0.9, 0.4), (0.9, 0.4)], 0),  # of equals, the first
        ([None, (0.1, 3.0)], 1),
        ([None, None], None),
        ([], None),
    ],
)
def test_the_most_accurate_trial_is_the_best(results, place):
    assert best([_crossfit(*each) if each else Failed("") for each in results], Classification((0, 1), 1)) == place


def _crossfit(accuracy: float, log_loss: float, outputs: np.ndarray = np.empty((0, 2))) -> CrossFit:  # noqa: B008
    return CrossFit(outputs, {"accuracy": accuracy, "log_loss": log_loss})


def test_of_regressions_the_one_of_the_least_squared_error_is_the_best():
    found = [CrossFit(np.empty(0), {"mean_squared_error": mse, "within_tolerance": w}) for mse, w in [(4, 1), (3, 0)]]
    assert best([Failed(""), *found], Regression(1.0)) == 2


def test_a_result_that_is_no_number_is_the_last_choice():
    broken = _crossfit(0.99, 0.01, np.array([[np.nan, 1.0]]))
    assert best([broken, _crossfit(0.6, 0.7), _crossfit(0.5, 0.7)], Classification((0, 1), 1)) == 1
    assert best([Failed(""), broken], Classification((0, 1), 1)) == 1


def test_the_targets_of_a_regression_are_its_labels(tmp_path):
    repair = load_model_settings(write_repair_settings(tmp_path))
    n = np.arange(8)
    times = pd.to_datetime([START + dt.timedelta(hours=int(each)) for each in n])
    frame = pd.DataFrame({"claim_no": n, "reported_at": times, "cost": n * 10.5}).assign(
        workshop="north", panels=1, years=np.nan, towed=None
    )
    data = training_set(frame, repair, None)
    assert data.problem == Regression(50.0)
    assert data.targets.tolist() == (n * 10.5).tolist()
    assert list(data.rows.columns) == ["panels", "years", "towed", "workshop"]  # no time, no label


def test_examples_show_a_value_and_a_missing_one_of_each_column_that_has_them():
    rows = pd.DataFrame(
        {
            "number": [1.0, 2.0, 3.0, 4.0, 5.0, np.nan, 7.0, np.nan],
            "late": pd.Series([None, None, None, None, None, None, "a", "b"], dtype=object),
            "never": pd.Series([None] * 8, dtype=object),
            "whole": range(8),
        }
    )
    assert example_places(rows, 3).tolist() == [0, 1, 2, 5, 6]
    assert example_places(rows.head(0), 3).tolist() == []
    assert example_places(rows[["whole"]].head(2), 3).tolist() == [0, 1]
