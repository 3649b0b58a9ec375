import hashlib
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from lakehouse.errors import ConfigurationError, RegistryError
from lakehouse.models import (
    TRUSTED_TYPES,
    Classification,
    CrossFit,
    Failed,
    Features,
    ModelCache,
    Regression,
    TrainingSet,
    Trial,
    Weighting,
    check_families,
    cross_fit_weighted,
    difference_of,
    dump,
    example_places,
    features_of,
    fit_weighted,
    flaw_of,
    grid,
    load,
    probabilities,
    problem_of,
)
from lakehouse.models.flat import answering
from lakehouse.models.newest import MOST_KEPT
from lakehouse.settings import Family, load_model_settings
from tests.support.rows import write_parcel_settings

FEATURES = Features(("x", "y"), ("lane", "fragile"))
PARAMETERS = {
    "decision_tree": {"max_depth": 3},
    "random_forest": {"n_estimators": 5},
    "hist_gradient_boosting": {"max_iter": 5},
    "logistic_regression": {"C": 1.0},
    "ridge_regression": {"alpha": 1.0},
}
NUMBER = Regression(tolerance=0.5)
UNSEEN = pd.DataFrame(
    {"x": [0.1, np.nan], "y": [np.nan, 1.0], "lane": ["never seen", None], "fragile": [None, True]}
)


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
    codes = (rows["x"] > 0).astype(int).to_numpy() + (n_classes - 2) * (
        rows["lane"] == "b"
    ).to_numpy()
    newest = np.arange(n) >= n // 2
    return TrainingSet(FEATURES, classes(n_classes), rows, codes.astype(np.int64), newest, seed=1)


def numbers(n: int = 120) -> TrainingSet:
    """The same rows, with a number to predict: 3 x and 1 for lane b, and a little noise."""
    rows = feature_rows(n)
    targets = 3 * rows["x"] + (rows["lane"] == "b") + np.random.default_rng(1).normal(0, 0.1, n)
    newest = np.arange(n) >= n // 2
    return TrainingSet(FEATURES, NUMBER, rows, targets.to_numpy(), newest, seed=1)


def fit(trial: Trial, data: TrainingSet, left_out: np.ndarray | None = None) -> Pipeline:
    """Fitted to all rows but those left out (places), each of which counts once."""
    weights = np.ones(len(data.rows))
    weights[[] if left_out is None else left_out] = 0
    return fit_weighted(trial, data, weights)


def weighting(rows: int, folds: int = 4) -> Weighting:
    """All rows, in folds that go round."""
    fold = np.arange(rows) % folds
    return Weighting(
        np.ones(rows), tuple((fold != out).astype(float) for out in range(folds)), fold
    )


def cross_fit(trial: Trial, data: TrainingSet) -> CrossFit | Failed:
    return cross_fit_weighted(trial, data, weighting(len(data.rows)))


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
    contents = [
        dump(fit(Trial("everything", "decision_tree", {"max_depth": d}), training_set()))
        for d in (1, 2)
    ]
    asked = []
    cache = ModelCache()
    for content in [*contents, *contents]:
        cache.get(sha256(content), lambda content=content: asked.append(content) or content)
    assert cache.loads == 2
    assert asked == contents


def test_the_cache_keeps_the_models_that_it_was_asked_for_last(monkeypatch):
    contents = {f"{number:064x}": number for number in range(MOST_KEPT + 1)}
    monkeypatch.setattr("lakehouse.models.model_file.load", lambda content, _: content)
    cache, first = ModelCache(), f"{0:064x}"
    for sha256_, number in contents.items():
        assert cache.get(sha256_, lambda number=number: number) == number
        cache.get(first, lambda: pytest.fail("it is asked for again and again"))
    assert len(cache.models) == MOST_KEPT
    assert list(contents)[1] not in cache.models
    assert cache.loads == MOST_KEPT + 1


def test_a_process_keeps_the_flat_versions_that_it_was_asked_for_last():
    problem, other = Regression(tolerance=1.0), Features(("x",), ())
    made = [answering(f"{n}", None, FEATURES, problem) for n in range(MOST_KEPT + 1)]
    assert answering(f"{MOST_KEPT}", None, FEATURES, problem) is made[-1]
    assert answering("0", None, FEATURES, problem) is not made[0]
    assert answering("0", None, other, problem).features == other


def test_the_cache_keeps_nothing_of_a_refused_file():
    cache = ModelCache()
    with pytest.raises(RegistryError):
        cache.get("0" * 64, lambda: b"not a model")
    assert (cache.loads, cache.models) == (0, {})


def test_the_grid_has_every_point_of_every_family_on_every_window():
    trials = grid(
        ["a", "b"],
        {"decision_tree": {"max_depth": [1, 2], "ccp_alpha": [0.1]}, "random_forest": {}},
    )
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


def test_a_row_is_never_predicted_by_a_model_that_was_fitted_on_it():
    """A tree to the last row knows the label of each row that it was fitted on, and nothing of the
    others.
    """
    random = np.random.default_rng(5)
    rows, codes = pd.DataFrame({"x": np.arange(600.0)}), random.integers(0, 2, 600)
    data = TrainingSet(Features(("x",)), classes(2), rows, codes, np.ones(600, dtype=bool), seed=0)
    given = weighting(600)
    found = cross_fit_weighted(Trial("", "decision_tree", {}), data, given)
    for out, weights in enumerate(given.by_fold):
        alone = fit_weighted(Trial("", "decision_tree", {}), data, weights)
        own = given.fold == out
        assert (alone.predict(rows[~own]) == codes[~own]).all()
        np.testing.assert_array_equal(found.outputs[own], alone.predict_proba(rows[own]))


def test_rows_that_are_neither_taken_nor_judged_get_no_output():
    data, taken = training_set(), np.arange(120) < 30
    given = weighting(120)
    some = Weighting(
        taken.astype(float), tuple(np.where(taken, each, 0.0) for each in given.by_fold), given.fold
    )
    found = cross_fit_weighted(Trial("", "decision_tree", {}), data, some)
    np.testing.assert_array_equal(np.isnan(found.outputs).all(axis=1), ~(taken | data.judged))


def test_a_model_cannot_learn_the_noise_of_the_rows_that_it_is_judged_on():
    random = np.random.default_rng(5)
    rows, everything = pd.DataFrame({"x": random.normal(size=600)}), np.ones(600, dtype=bool)
    codes = random.integers(0, 2, 600)
    data = TrainingSet(Features(("x",)), classes(2), rows, codes, everything, seed=0)
    trial = Trial("everything", "decision_tree", {})
    assert (fit(trial, data).predict(rows) == codes).all()
    assert cross_fit(trial, data).metrics["accuracy"] < 0.6


def test_accuracy_and_log_loss_are_scikit_learns():
    data = training_set()
    result = cross_fit(Trial("everything", "random_forest", {"n_estimators": 5}), data)
    codes = data.targets[data.judged]
    outputs = result.outputs[data.judged]
    assert outputs.shape == (data.judged.sum(), 3)
    assert result.metrics["accuracy"] == accuracy_score(codes, outputs.argmax(axis=1))
    expected = log_loss(codes, outputs, labels=[0, 1, 2])
    assert result.metrics["log_loss"] == pytest.approx(expected, rel=1e-12)


def test_a_regressor_cannot_learn_the_noise_of_the_rows_that_it_is_judged_on():
    random = np.random.default_rng(5)
    rows, everything = pd.DataFrame({"x": random.normal(size=600)}), np.ones(600, dtype=bool)
    targets = random.normal(size=600)
    data = TrainingSet(Features(("x",)), NUMBER, rows, targets, everything, seed=0)
    trial = Trial("everything", "decision_tree", {})
    np.testing.assert_array_equal(fit(trial, data).predict(rows), targets)
    assert cross_fit(trial, data).metrics["r2_score"] < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("family", Regression.families)
def test_cross_fitted_numbers_are_in_the_order_of_the_rows(family):
    data = numbers(600)
    found = cross_fit(Trial("everything", family, PARAMETERS[family]), data)
    assert found.outputs.shape == (600,)
    assert np.corrcoef(found.outputs, data.targets)[0, 1] > 0.9


def test_the_figures_of_a_regression_are_scikit_learns():
    data = numbers()
    found, targets = (
        cross_fit(Trial("everything", "decision_tree", {"max_depth": 3}), data),
        data.targets[data.judged],
    )
    outputs = found.outputs[data.judged]
    assert found.metrics == {
        "mean_squared_error": pytest.approx(mean_squared_error(targets, outputs), rel=1e-12),
        "mean_absolute_error": pytest.approx(mean_absolute_error(targets, outputs), rel=1e-12),
        "r2_score": pytest.approx(r2_score(targets, outputs), rel=1e-12),
        "within_tolerance": np.mean(np.abs(targets - outputs) <= 0.5),
    }
    assert 0 < found.metrics["within_tolerance"] < 1


def test_a_number_is_right_up_to_the_tolerance_and_its_loss_is_its_distance():
    found, targets = np.array([1.0, 1.5, 1.75, 0.5, 0.25, np.nan]), np.ones(6)
    assert NUMBER.is_right(found, targets).tolist() == [True, True, False, True, False, False]
    assert NUMBER.losses(found, targets).tolist() == [0, 0.5, 0.75, 0.5, 0.75, np.inf]


def test_what_the_loop_asks_of_a_problem_says_the_same_of_classes_and_of_numbers():
    """Of both: predictions, labels; which are wrong, which cannot both be right, and what is
    unknown.
    """
    two = classes(2)
    codes, predicted = np.array([0, 1, 1]), np.array([0, 0, 1])
    assert two.kind_of(predicted).tolist() == [0, 0, 1]
    assert two.differ(codes, predicted).tolist() == [False, True, False]
    assert two.events(predicted, codes).tolist() == [0, 1, 1]  # the labels
    found, targets = np.array([1.0, 2.25, 3.0]), np.array([1.25, 1.0, 3.75])
    assert NUMBER.kind_of(found).tolist() == [0, 0, 0]
    # 1.25 is more than two tolerances; 0.75 is not, so a number between the two is near both.
    assert NUMBER.differ(found, targets).tolist() == [False, True, False]
    assert NUMBER.events(found, targets).tolist() == [0, 1, 1]  # whether it is wrong
    for problem in (two, NUMBER):
        assert not problem.is_known(problem.unknown(3)).any()
    assert two.is_known(predicted).all()
    assert NUMBER.is_known(found).all()


def test_a_class_that_a_model_never_saw_has_probability_zero():
    data = training_set()
    model = fit(
        Trial("everything", "decision_tree", {}), data, left_out=np.flatnonzero(data.targets == 1)
    )
    found = probabilities(model, data.rows, 3)
    np.testing.assert_array_equal(found[:, 1], 0)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("data", "trial", "reason"),
    [
        (
            training_set(),
            Trial("everything", "logistic_regression", {"l1_ratio": 1.0}),
            "Solver lbfgs supports only",
        ),
        (
            numbers(),
            Trial("everything", "hist_gradient_boosting", {"loss": "gamma"}),
            "requires strictly positive y",
        ),
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
    with pytest.raises(
        ConfigurationError, match=r"training\.families\.decision_tree: The 'criterion' parameter"
    ):
        check_families(families, classes(2))


class _Silent(HistGradientBoostingRegressor):
    """A regressor that says nothing of the second row."""

    def predict(self, rows):
        return np.where(np.arange(len(rows)) == 1, np.nan, super().predict(rows))


def fitted(data: TrainingSet) -> tuple[Pipeline, np.ndarray]:
    """A model, and cross-fitted outputs of the judged rows."""
    trial = Trial("everything", "decision_tree", {"max_depth": 3})
    result = cross_fit(trial, data)
    assert isinstance(result, CrossFit)
    return fit(trial, data), result.outputs[data.judged].copy()


@pytest.mark.parametrize("data", [training_set(2), training_set(3), numbers()])
def test_a_model_that_fits_the_settings_has_no_flaw(data):
    assert flaw_of(*fitted(data), data) is None


@pytest.mark.parametrize("data", [training_set(), numbers()])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_cross_fitted_output_that_is_no_number_is_a_flaw(data, value):
    model, outputs = fitted(data)
    outputs[[3, 7]] = value
    assert flaw_of(model, outputs, data) == "its output is not a finite number for 2 of 60 rows"


def test_an_output_of_the_fitted_model_that_is_no_number_is_a_flaw():
    data = numbers()
    model, outputs = fitted(data)
    model.steps[-1] = ("silent", _Silent().fit(model[:-1].transform(data.rows), data.targets))
    assert flaw_of(model, outputs, data) == "its output is not a finite number for 1 of 60 rows"


def test_another_schema_is_a_difference_in_words():
    two, three, number = (fitted(data)[0] for data in (training_set(2), training_set(3), numbers()))
    fewer = Features(("x", "y"), ("lane",))
    says = "it reads x, y, lane, fragile, not x, y, lane"
    assert difference_of(two, fewer, classes(2)) == says
    assert difference_of(two, FEATURES, classes(3)) is None  # a class that it never saw
    assert (
        difference_of(three, FEATURES, classes(2))
        == "it knows more classes than the 2 of the settings"
    )
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


def test_features_are_split_by_kind_and_labels_coded_in_the_order_of_classes(tmp_path):
    parcel = load_model_settings(write_parcel_settings(tmp_path))
    assert features_of(parcel).numeric == ("grams", "fragile", "found")
    assert features_of(parcel).categorical == ("lane",)
    assert parcel.classes == ("broken", "lost", "ok")
    assert problem_of(parcel).targets(pd.Series(["ok", "broken", "lost", "ok"])).tolist() == [
        2,
        0,
        1,
        2,
    ]


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
