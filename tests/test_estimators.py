import hashlib

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import FunctionTransformer

from lakehouse import estimators
from lakehouse.errors import ConfigurationError, RegistryError
from lakehouse.estimators import Features, ModelCache, TrainingSet, Trial, cross_fit, dump, fit, grid, load

FEATURES = Features(("x", "y"), ("lane", "fragile"))
PARAMETERS = {
    "decision_tree": {"max_depth": 3},
    "random_forest": {"n_estimators": 5},
    "hist_gradient_boosting": {"max_iter": 5},
    "logistic_regression": {"C": 1.0},
}


def training_set(n_classes: int = 3, n: int = 120) -> TrainingSet:
    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "x": random.normal(size=n),
            "y": np.where(random.random(n) < 0.2, np.nan, random.normal(size=n)),
            "lane": random.choice(np.array(["a", "b", None], dtype=object), n),
            "fragile": random.choice(np.array([True, False, None], dtype=object), n),
        }
    )
    codes = (rows["x"] > 0).astype(int).to_numpy() + (n_classes - 2) * (rows["lane"] == "b").to_numpy()
    everything = np.ones(n, dtype=bool)
    newest = np.arange(n) >= n // 2
    windows = {"everything": everything, "newest": newest}
    return TrainingSet(FEATURES, n_classes, rows, codes.astype(np.int64), windows, newest, folds=4, seed=1)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("family", PARAMETERS)
def test_a_model_of_every_family_predicts_the_same_after_its_file(family, n_classes):
    data = training_set(n_classes)
    model = fit(Trial("everything", family, PARAMETERS[family]), data)
    content = dump(model)
    loaded = load(content, sha256(content))
    unseen = pd.DataFrame(
        {"x": [0.1, np.nan], "y": [np.nan, 1.0], "lane": ["never seen", None], "fragile": [None, True]}
    )
    for rows in (data.rows, unseen):
        np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))


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
    real_fit, real_probabilities = estimators.fit, estimators.probabilities

    def spied_fit(trial, data, left_out=None):
        fitted.append(set(np.flatnonzero(data.windows[trial.window])) - set(left_out))
        return real_fit(trial, data, left_out)

    def spied_probabilities(model, rows, n_classes):
        predicted.append(set(rows.index))
        return real_probabilities(model, rows, n_classes)

    monkeypatch.setattr(estimators, "fit", spied_fit)
    monkeypatch.setattr(estimators, "probabilities", spied_probabilities)
    cross_fit(Trial("everything", "decision_tree", {"max_depth": 3}), data)
    assert len(predicted) == data.folds
    assert not any(mine & others for mine, others in zip(fitted, predicted, strict=True))
    assert sorted(row for rows in predicted for row in rows) == list(np.flatnonzero(data.judged))


def test_a_model_cannot_learn_the_noise_of_the_rows_that_it_is_judged_on():
    random = np.random.default_rng(5)
    rows, everything = pd.DataFrame({"x": random.normal(size=600)}), np.ones(600, dtype=bool)
    codes = random.integers(0, 2, 600)
    data = TrainingSet(Features(("x",)), 2, rows, codes, {"everything": everything}, everything, folds=5, seed=0)
    trial = Trial("everything", "decision_tree", {})
    assert (fit(trial, data).predict(rows) == codes).all()
    assert cross_fit(trial, data).accuracy < 0.6


def test_accuracy_and_log_loss_are_scikit_learns():
    data = training_set()
    result = cross_fit(Trial("everything", "random_forest", {"n_estimators": 5}), data)
    codes = data.codes[data.judged]
    assert result.probabilities.shape == (data.judged.sum(), 3)
    assert result.accuracy == accuracy_score(codes, result.probabilities.argmax(axis=1))
    assert result.log_loss == pytest.approx(log_loss(codes, result.probabilities, labels=[0, 1, 2]), rel=1e-12)


def test_fitting_leaves_out_what_is_left_out_and_leaves_the_window_as_it_was():
    data = training_set(n_classes=2)
    left_out = np.flatnonzero(data.codes == 0)
    model = fit(Trial("everything", "decision_tree", {}), data, left_out=left_out)
    assert list(model.classes_) == [1]
    assert data.windows["everything"].all()


def test_a_class_that_a_model_never_saw_has_probability_zero():
    data = training_set()
    model = fit(Trial("everything", "decision_tree", {}), data, left_out=np.flatnonzero(data.codes == 1))
    found = estimators.probabilities(model, data.rows, 3)
    np.testing.assert_array_equal(found[:, 1], 0)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("codes", [[0] * 20, [0] * 19 + [1], []])
def test_nothing_is_compared_on_rows_that_are_too_few(codes):
    everything = np.ones(len(codes), dtype=bool)
    rows = pd.DataFrame({"x": np.arange(float(len(codes)))})
    codes = np.array(codes, dtype=np.int64)
    data = TrainingSet(Features(("x",)), 2, rows, codes, {"everything": everything}, everything, folds=5, seed=0)
    assert cross_fit(Trial("everything", "decision_tree", {}), data) is None
