import hashlib
from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, mean_squared_error, r2_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from lakehouse.errors import ConfigurationError, RegistryError
from lakehouse.estimators import (
    TRUSTED_TYPES,
    Classification,
    CrossFit,
    Failed,
    Features,
    ModelCache,
    Regression,
    TrainingSet,
    Trial,
    check_families,
    cross_fit,
    difference_of,
    dump,
    fit,
    flaw_of,
    grid,
    load,
    probabilities,
    problems,
    trials,
)
from lakehouse.settings import Family

FEATURES = Features(("x", "y"), ("lane", "fragile"))
PARAMETERS = {
    "decision_tree": {"max_depth": 3},
    "random_forest": {"n_estimators": 5},
    "hist_gradient_boosting": {"max_iter": 5},
    "logistic_regression": {"C": 1.0},
    "ridge_regression": {"alpha": 1.0},
}
NUMBER = Regression(tolerance=0.5)
UNSEEN = pd.DataFrame({"x": [0.1, np.nan], "y": [np.nan, 1.0], "lane": ["never seen", None], "fragile": [None, True]})


def feature_rows(n: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "x": random.normal(size=n),
            "y": np.where(random.random(n) < 0.2, np.nan, random.normal(size=n)),
            "lane": random.choice(np.array(["a", "b", None], dtype=object), n),
            "fragile": random.choice(np.array([True, False, None], dtype=object), n),
        }
    )


def training_set(n_classes: int = 3, n: int = 120) -> TrainingSet:
    rows = feature_rows(n)
    codes = (rows["x"] > 0).astype(int).to_numpy() + (n_classes - 2) * (rows["lane"] == "b").to_numpy()
    everything = np.ones(n, dtype=bool)
    newest = np.arange(n) >= n // 2
    windows = {"everything": everything, "newest": newest}
    return TrainingSet(FEATURES, classes(n_classes), rows, codes.astype(np.int64), windows, newest, folds=4, seed=1)


def numbers(n: int = 120) -> TrainingSet:
    """The same rows, with a number to predict: 3 x and 1 for lane b, and a little noise."""
    rows = feature_rows(n)
    targets = 3 * rows["x"] + (rows["lane"] == "b") + np.random.default_rng(1).normal(0, 0.1, n)
    everything = np.ones(n, dtype=bool)
    newest = np.arange(n) >= n // 2
    windows = {"everything": everything, "newest": newest}
    return TrainingSet(FEATURES, NUMBER, rows, targets.to_numpy(), windows, newest, folds=4, seed=1)


def classes(n: int) -> Classification:
    return Classification(tuple(range(n)), n - 1)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("family", Classification.families)
def test_a_classifier_of_every_family_predicts_the_same_after_its_file(family, n_classes):
    data = training_set(n_classes)
    model = fit(Trial("everything", family, PARAMETERS[family]), data)
    content = dump(model)
    loaded = load(content, sha256(content))
    for rows in (data.rows, UNSEEN):
        np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))


@pytest.mark.parametrize("family", Regression.families)
def test_a_regressor_of_every_family_predicts_the_same_after_its_file(family):
    data = numbers()
    model = fit(Trial("everything", family, PARAMETERS[family]), data)
    content = dump(model)
    loaded = load(content, sha256(content))
    for rows in (data.rows, UNSEEN):
        found = NUMBER.outputs(loaded, rows)
        np.testing.assert_array_equal(found, model.predict(rows))
        assert (found.dtype, found.shape) == (np.float64, (len(rows),))
        assert np.isfinite(found).all()


@pytest.mark.parametrize("family", Classification.families)
def test_a_model_of_the_same_rows_has_the_same_file_wherever_it_is_fitted(family):
    trial = Trial("everything", family, PARAMETERS[family])
    first, kept = fit(trial, training_set(3)), [object() for _ in range(1000)]  # other addresses
    assert dump(first) == dump(fit(trial, training_set(3)))
    del kept


def test_each_trusted_type_is_needed_by_a_family_and_no_other_is_trusted():
    needed = set()
    for data in (training_set(2), training_set(3), numbers()):
        for family in data.problem.families:
            content = dump(fit(Trial("everything", family, PARAMETERS[family]), data))
            needed |= set(skops.io.get_untrusted_types(data=content))
    assert needed == set(TRUSTED_TYPES)


def test_the_families_of_the_settings_are_those_of_the_problems():
    assert {*Classification.families, *Regression.families} == set(get_args(Family))
    assert set(get_args(Family)) - set(Classification.families) == {"ridge_regression"}
    assert set(get_args(Family)) - set(Regression.families) == {"logistic_regression"}


def test_a_changed_model_file_is_refused():
    content = dump(fit(Trial("everything", "decision_tree", {}), training_set()))
    with pytest.raises(RegistryError, match="it was changed, and is not loaded"):
        load(content + b" ", sha256(content))


def test_a_file_with_a_foreign_type_is_refused():
    content = skops.io.dumps(FunctionTransformer(np.exp, inverse_func=_foreign))
    with pytest.raises(RegistryError, match="may not be trusted"):
        load(content, sha256(content))
    own = skops.io.dumps(_Foreign())
    with pytest.raises(RegistryError, match="_Foreign, which may not be trusted"):
        load(own, sha256(own))


def _foreign(values):
    return values


class _Foreign(BaseEstimator):
    pass


def test_the_cache_loads_each_model_once_and_asks_for_its_file_only_then():
    contents = [dump(fit(Trial("everything", "decision_tree", {"max_depth": d}), training_set())) for d in (1, 2)]
    asked = []
    cache = ModelCache()
    for content in [*contents, *contents]:
        cache.get(sha256(content), lambda content=content: asked.append(content) or content)
    assert cache.loads == 2
    assert asked == contents


def test_the_cache_keeps_nothing_of_a_refused_file():
    cache = ModelCache()
    with pytest.raises(RegistryError):
        cache.get("0" * 64, lambda: b"not a model")
    assert (cache.loads, cache.models) == (0, {})


def test_the_grid_has_every_point_of_every_family_on_every_window():
    trials = grid(["a", "b"], {"decision_tree": {"max_depth": [1, 2], "ccp_alpha": [0.1]}, "random_forest": {}})
    assert [(t.window, t.family, dict(t.parameters)) for t in trials] == [
        ("a", "decision_tree", {"max_depth": 1, "ccp_alpha": 0.1}),
        ("a", "decision_tree", {"max_depth": 2, "ccp_alpha": 0.1}),
        ("a", "random_forest", {}),
        ("b", "decision_tree", {"max_depth": 1, "ccp_alpha": 0.1}),
        ("b", "decision_tree", {"max_depth": 2, "ccp_alpha": 0.1}),
        ("b", "random_forest", {}),
    ]
    assert len({trial.name for trial in trials}) == len(trials)


def test_an_unknown_parameter_is_named_with_what_is_known():
    trial = Trial("everything", "decision_tree", {"depth": 3})
    with pytest.raises(ConfigurationError, match=r"depth is not known; write one of .*max_depth"):
        fit(trial, training_set())


def test_a_judged_row_is_never_predicted_by_a_model_that_was_fitted_on_it(monkeypatch):
    data = training_set()
    fitted, predicted = [], []
    real_fit, real_probabilities = trials.fit, problems.probabilities

    def spied_fit(trial, data, left_out=None):
        fitted.append(set(np.flatnonzero(data.windows[trial.window])) - set(left_out))
        return real_fit(trial, data, left_out)

    def spied_probabilities(model, rows, n_classes):
        predicted.append(set(rows.index))
        return real_probabilities(model, rows, n_classes)

    monkeypatch.setattr(trials, "fit", spied_fit)
    monkeypatch.setattr(problems, "probabilities", spied_probabilities)
    cross_fit(Trial("everything", "decision_tree", {"max_depth": 3}), data)
    assert len(predicted) == data.folds
    assert not any(mine & others for mine, others in zip(fitted, predicted, strict=True))
    assert sorted(row for rows in predicted for row in rows) == list(np.flatnonzero(data.judged))


def test_a_model_cannot_learn_the_noise_of_the_rows_that_it_is_judged_on():
    random = np.random.default_rng(5)
    rows, everything = pd.DataFrame({"x": random.normal(size=600)}), np.ones(600, dtype=bool)
    codes = random.integers(0, 2, 600)
    data = TrainingSet(
        Features(("x",)), classes(2), rows, codes, {"everything": everything}, everything, folds=5, seed=0
    )
    trial = Trial("everything", "decision_tree", {})
    assert (fit(trial, data).predict(rows) == codes).all()
    assert cross_fit(trial, data).metrics["accuracy"] < 0.6


def test_accuracy_and_log_loss_are_scikit_learns():
    data = training_set()
    result = cross_fit(Trial("everything", "random_forest", {"n_estimators": 5}), data)
    codes = data.targets[data.judged]
    assert result.outputs.shape == (data.judged.sum(), 3)
    assert result.metrics["accuracy"] == accuracy_score(codes, result.outputs.argmax(axis=1))
    expected = log_loss(codes, result.outputs, labels=[0, 1, 2])
    assert result.metrics["log_loss"] == pytest.approx(expected, rel=1e-12)


def test_a_regressor_cannot_learn_the_noise_of_the_rows_that_it_is_judged_on():
    random = np.random.default_rng(5)
    rows, everything = pd.DataFrame({"x": random.normal(size=600)}), np.ones(600, dtype=bool)
    targets = random.normal(size=600)
    data = TrainingSet(Features(("x",)), NUMBER, rows, targets, {"everything": everything}, everything, folds=5, seed=0)
    trial = Trial("everything", "decision_tree", {})
    np.testing.assert_array_equal(fit(trial, data).predict(rows), targets)
    assert cross_fit(trial, data).metrics["r2_score"] < 0.1


@pytest.mark.parametrize("family", Regression.families)
def test_cross_fitted_numbers_are_in_the_order_of_the_judged_rows(family):
    data = numbers(600)
    found = cross_fit(Trial("everything", family, PARAMETERS[family]), data)
    assert found.outputs.shape == (300,)
    assert np.corrcoef(found.outputs, data.targets[data.judged])[0, 1] > 0.9


def test_the_figures_of_a_regression_are_scikit_learns():
    data = numbers()
    found, targets = cross_fit(Trial("everything", "decision_tree", {"max_depth": 3}), data), data.targets[data.judged]
    assert found.metrics == {
        "mean_squared_error": pytest.approx(mean_squared_error(targets, found.outputs), rel=1e-12),
        "mean_absolute_error": pytest.approx(mean_absolute_error(targets, found.outputs), rel=1e-12),
        "r2_score": pytest.approx(r2_score(targets, found.outputs), rel=1e-12),
        "within_tolerance": np.mean(np.abs(targets - found.outputs) <= 0.5),
    }
    assert 0 < found.metrics["within_tolerance"] < 1


def test_folds_of_a_regression_are_shuffled_by_the_seed_and_leave_each_row_out_once():
    targets = np.arange(20.0)
    folds = NUMBER.folds(targets, 4, seed=1)
    assert sorted(np.concatenate(folds)) == list(range(20))
    assert {len(out) for out in folds} == {5}
    assert [list(out) for out in folds] == [list(out) for out in NUMBER.folds(targets, 4, seed=1)]
    assert [list(out) for out in folds] != [list(out) for out in NUMBER.folds(targets, 4, seed=2)]
    assert list(folds[0]) != list(range(5))  # rows are in order of time; a fold is not a stretch of it
    assert len(NUMBER.folds(np.arange(3.0), 4, seed=1)) == 3


def test_a_number_is_right_up_to_the_tolerance_and_its_loss_is_its_distance():
    found, targets = np.array([1.0, 1.5, 1.75, 0.5, 0.25, np.nan]), np.ones(6)
    assert NUMBER.is_right(found, targets).tolist() == [True, True, False, True, False, False]
    assert NUMBER.losses(found, targets).tolist() == [0, 0.5, 0.75, 0.5, 0.75, np.inf]


def test_fitting_leaves_out_what_is_left_out_and_leaves_the_window_as_it_was():
    data = training_set(n_classes=2)
    left_out = np.flatnonzero(data.targets == 0)
    model = fit(Trial("everything", "decision_tree", {}), data, left_out=left_out)
    assert list(model.classes_) == [1]
    assert data.windows["everything"].all()


def test_a_class_that_a_model_never_saw_has_probability_zero():
    data = training_set()
    model = fit(Trial("everything", "decision_tree", {}), data, left_out=np.flatnonzero(data.targets == 1))
    found = probabilities(model, data.rows, 3)
    np.testing.assert_array_equal(found[:, 1], 0)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("codes", [[0] * 20, [0] * 19 + [1], []])
def test_nothing_is_compared_on_rows_that_are_too_few(codes):
    everything = np.ones(len(codes), dtype=bool)
    rows = pd.DataFrame({"x": np.arange(float(len(codes)))})
    codes = np.array(codes, dtype=np.int64)
    data = TrainingSet(
        Features(("x",)), classes(2), rows, codes, {"everything": everything}, everything, folds=5, seed=0
    )
    found = cross_fit(Trial("everything", "decision_tree", {}), data)
    assert found == Failed("too few rows of each class to compare models on")


@pytest.mark.parametrize("targets", [[2.5], [2.5] * 20, []])
def test_no_numbers_are_compared_where_all_labels_are_equal(targets):
    everything = np.ones(len(targets), dtype=bool)
    rows = pd.DataFrame({"x": np.arange(float(len(targets)))})
    windows = {"everything": everything}
    data = TrainingSet(Features(("x",)), NUMBER, rows, np.array(targets), windows, everything, folds=5, seed=0)
    found = cross_fit(Trial("everything", "decision_tree", {}), data)
    assert found == Failed("too few rows of different labels to compare models on")


@pytest.mark.parametrize(
    ("data", "trial", "reason"),
    [
        (training_set(), Trial("everything", "logistic_regression", {"l1_ratio": 1.0}), "Solver lbfgs supports only"),
        (numbers(), Trial("everything", "hist_gradient_boosting", {"loss": "gamma"}), "loss='gamma' requires strictly"),
    ],
)
def test_what_scikit_learn_refuses_is_a_failed_trial_with_its_reason(data, trial, reason):
    found = cross_fit(trial, data)
    assert isinstance(found, Failed)
    assert found.reason.startswith("scikit-learn: ")
    assert reason in found.reason


def test_a_grid_is_checked_by_the_family_of_its_problem():
    families = {"decision_tree": {"criterion": ["squared_error"]}}
    check_families(families, NUMBER)
    with pytest.raises(ConfigurationError, match=r"training\.families\.decision_tree: The 'criterion' parameter"):
        check_families(families, classes(2))


class _Silent(HistGradientBoostingRegressor):
    """A regressor that says nothing of the second row."""

    def predict(self, rows):
        return np.where(np.arange(len(rows)) == 1, np.nan, super().predict(rows))


def fitted(data: TrainingSet) -> tuple[Pipeline, CrossFit]:
    trial = Trial("everything", "decision_tree", {"max_depth": 3})
    result = cross_fit(trial, data)
    assert isinstance(result, CrossFit)
    return fit(trial, data), result


@pytest.mark.parametrize("data", [training_set(2), training_set(3), numbers()])
def test_a_model_that_fits_the_settings_has_no_flaw(data):
    assert flaw_of(*fitted(data), data) is None


@pytest.mark.parametrize("data", [training_set(), numbers()])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_cross_fitted_output_that_is_no_number_is_a_flaw(data, value):
    model, result = fitted(data)
    outputs = result.outputs.copy()
    outputs[[3, 7]] = value
    assert not replace(result, outputs=outputs).is_finite
    assert (
        flaw_of(model, replace(result, outputs=outputs), data) == "its output is not a finite number for 2 of 60 rows"
    )


def test_an_output_of_the_fitted_model_that_is_no_number_is_a_flaw():
    data = numbers()
    model, result = fitted(data)
    model.steps[-1] = ("silent", _Silent().fit(model[:-1].transform(data.rows), data.targets))
    assert flaw_of(model, result, data) == "its output is not a finite number for 1 of 60 rows"


def test_another_schema_is_a_difference_in_words():
    two, three, number = (fitted(data)[0] for data in (training_set(2), training_set(3), numbers()))
    fewer = Features(("x", "y"), ("lane",))
    says = "it reads x, y, lane, fragile, not x, y, lane"
    assert difference_of(two, fewer, classes(2)) == says
    assert difference_of(two, FEATURES, classes(3)) is None  # a class that it never saw
    assert difference_of(three, FEATURES, classes(2)) == "it knows more classes than the 2 of the settings"
    assert difference_of(number, FEATURES, classes(2)) == "it gives no probabilities of classes"
    assert difference_of(two, FEATURES, NUMBER) == "it does not predict a number"


def test_a_model_that_was_trained_on_a_single_class_is_refused():
    data = training_set(2)
    trial = Trial("everything", "decision_tree", {})
    one = fit(trial, data, left_out=np.flatnonzero(data.targets == 0))
    assert flaw_of(one, fitted(data)[1], data) == "it was trained on a single class"


def test_a_frame_has_the_types_of_its_features_whatever_values_it_has():
    features = Features(("flag", "count", "x", "gone"), ("kind",))
    rows = pd.DataFrame(
        {
            "flag": np.array([None, True, False], dtype=object),
            "count": pd.array([2**53 + 1, None, -(2**63)], dtype="Int64"),
            "x": [1e300, -1e300, np.nan],
            "kind": [None, "a", None],
        },
        index=[7, 8, 9],
    )
    frame = features.frame(rows)
    assert list(frame.columns) == features.names
    assert [str(kind) for kind in frame.dtypes] == [*4 * ["float64"], "object"]
    assert frame.index.tolist() == [7, 8, 9]
    greatest = float(np.finfo(np.float32).max)
    np.testing.assert_array_equal(frame["flag"], [np.nan, 1.0, 0.0])
    np.testing.assert_array_equal(frame["count"], [2.0**53, np.nan, -(2.0**63)])
    np.testing.assert_array_equal(frame["x"], [greatest, -greatest, np.nan])
    assert frame["gone"].isna().all()
    assert frame["kind"].tolist() == [None, "a", None]
    empty = features.frame(rows.assign(flag=None, kind=None))
    assert [str(kind) for kind in empty.dtypes] == [str(kind) for kind in frame.dtypes]
