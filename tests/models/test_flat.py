"""Flat trees answer as scikit-learn does, to the bit, or say that they cannot."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lakehouse.models import Classification, Features, Problem, Regression, dump, load
from lakehouse.models.flat import Answering, FlatModel, answering, answers, flattened, kernel
from lakehouse.models.trials import LARGEST_FLOAT32, TrainingSet, Trial, build

FEATURES = Features(("temp", "pressure", "duration"))
TWO, THREE = Classification((0, 1), 1), Classification(("a", "b", "c"), "b")
UNSEEN = Classification(("a", "b", "never seen", "c"), "b")
MANY = Classification(tuple(range(11)), 3)
NUMBER = Regression(tolerance=1.0)
PROBLEMS = {"two": TWO, "three": THREE, "unseen class": UNSEEN, "eleven": MANY, "number": NUMBER}
POINTS = {
    "tree": ("decision_tree", {}),
    "shallow tree": ("decision_tree", {"max_depth": 2}),
    "forest": ("random_forest", {"n_estimators": 7}),
    "forest of large leaves": ("random_forest", {"n_estimators": 5, "min_samples_leaf": 20}),
    "stump": ("decision_tree", {"max_depth": 1}),
    "boosting": ("hist_gradient_boosting", {"max_iter": 6}),
    "boosting with small trees": ("hist_gradient_boosting", {"max_iter": 9, "max_leaf_nodes": 4}),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def rows_of(count: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "temp": 350 + 10 * random.random(count),
            "pressure": 12 + 2 * random.standard_normal(count),
            "duration": 28.5 + 4 * random.random(count),
        }
    )


def targets_of(rows: pd.DataFrame, problem: Problem) -> np.ndarray:
    height = (rows["temp"] - 350) + rows["pressure"].fillna(0) / 3
    if isinstance(problem, Regression):
        return (100 * np.sin(height) + rows["duration"]).fillna(0).to_numpy()
    codes = np.array(
        [code for code in range(len(problem.classes)) if problem is not UNSEEN or code != 2]
    )
    return codes[height.fillna(0).to_numpy().astype(int) % len(codes)]


@cache
def fitted(point: str, problem_name: str, missing: bool = True, seed: int = 0) -> Pipeline:
    problem = PROBLEMS[problem_name]
    rows = rows_of(400, seed)
    targets = targets_of(rows, problem)
    if missing:
        rows = with_missing(rows, seed)
    family, parameters = POINTS[point]
    every = np.ones(len(rows), dtype=bool)
    data = TrainingSet(FEATURES, problem, rows, targets, every, seed)
    return build(Trial("all", family, parameters), data).fit(rows, targets)


def with_missing(rows: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    return rows.mask(np.random.default_rng(seed).random(rows.shape) < 0.2)


def thresholds_of(pipeline: Pipeline) -> np.ndarray:
    """Those of all trees, as scikit-learn has them: feature and threshold."""
    model = pipeline[-1]
    if hasattr(model, "_predictors"):
        nodes = np.concatenate([tree.nodes for step in model._predictors for tree in step])
        nodes = nodes[nodes["is_leaf"] == 0]
        return np.column_stack([nodes["feature_idx"], nodes["num_threshold"]])
    trees = [each.tree_ for each in getattr(model, "estimators_", [model])]
    found = np.concatenate([np.column_stack([tree.feature, tree.threshold]) for tree in trees])
    return found[found[:, 0] >= 0]


def on_thresholds(pipeline: Pipeline) -> pd.DataFrame:
    """Rows with a value on a threshold, one step of float32 or float64 beside it, or half a step."""
    places, limits = thresholds_of(pipeline).T
    near = [limits]
    for kind in (np.float32, np.float64):
        below = np.nextafter(limits.astype(kind), kind(-np.inf)).astype(np.float64)
        above = np.nextafter(limits.astype(kind), kind(np.inf)).astype(np.float64)
        near += [limits.astype(kind).astype(np.float64), below, above]
        near += [(below + limits) / 2, (above + limits) / 2]
    rows = np.tile(rows_of(len(limits), 5).to_numpy(), (len(near), 1))
    rows[np.arange(len(rows)), np.tile(places.astype(int), len(near))] = np.concatenate(near)
    return pd.DataFrame(rows, columns=FEATURES.names)


def kinds_of_rows(pipeline: Pipeline) -> dict[str, pd.DataFrame]:
    extreme = rows_of(4, 6)
    extreme.iloc[:, 0] = [np.inf, -np.inf, 1e300, -0.0]
    return {
        "plain": rows_of(1500, 2),
        "rounded": rows_of(1500, 3).round(1),
        "missing": with_missing(rows_of(1500, 4)),
        "all missing": rows_of(3, 4) * np.nan,
        "on thresholds": on_thresholds(pipeline),
        "extreme": extreme,
        "none": rows_of(0, 0),
    }


def flat_of(pipeline: Pipeline, problem: Problem) -> FlatModel:
    found = flattened(pipeline, FEATURES, problem)
    assert found is not None
    return found


@pytest.mark.parametrize("problem_name", PROBLEMS)
@pytest.mark.parametrize("point", POINTS)
def test_rows_in_a_block_have_scikit_learns_outputs_to_the_bit(
    point: str, problem_name: str
) -> None:
    pipeline, problem = fitted(point, problem_name), PROBLEMS[problem_name]
    flat = flat_of(pipeline, problem)
    for kind, rows in kinds_of_rows(pipeline).items():
        outputs = flat.outputs(rows.to_numpy())
        if len(rows):  # scikit-learn refuses none
            expected = problem.outputs(pipeline, FEATURES.frame(rows))
            assert np.array_equal(outputs, expected), kind
            assert outputs.shape == expected.shape and outputs.dtype == expected.dtype
        else:
            assert len(outputs) == 0


@pytest.mark.parametrize("problem_name", ["two", "three", "unseen class", "number"])
@pytest.mark.parametrize("point", POINTS)
def test_a_row_by_itself_has_scikit_learns_output_to_the_bit(point: str, problem_name: str) -> None:
    pipeline, problem = fitted(point, problem_name), PROBLEMS[problem_name]
    flat = flat_of(pipeline, problem)
    for kind, rows in kinds_of_rows(pipeline).items():
        few = rows.iloc[:: max(1, len(rows) // 60)]
        if len(few):
            expected = problem.outputs(pipeline, FEATURES.frame(few))
            found = [flat.output(row) for row in few.to_numpy().tolist()]
            np.testing.assert_array_equal(np.reshape(found, expected.shape), expected, kind)


def test_a_row_by_itself_is_answered_as_scikit_learn_answers_it_alone() -> None:
    """Of eight classes or more, scikit-learn's softmax sums a row alone in another order."""
    for point in ("forest", "boosting"):
        pipeline = fitted(point, "eleven")
        flat, rows = flat_of(pipeline, MANY), rows_of(20, 2)
        for place, row in enumerate(rows.to_numpy().tolist()):
            alone = MANY.outputs(pipeline, FEATURES.frame(rows.iloc[[place]]))
            assert flat.output(row) == alone[0].tolist()


def test_what_is_missing_may_be_none_or_not_a_number() -> None:
    flat = flat_of(fitted("forest", "two"), TWO)
    assert flat.output([None, 12, 30]) == flat.output([float("nan"), 12.0, 30.0])
    assert flat.output([True, 12, 30]) == flat.output([1.0, 12.0, 30.0])


@pytest.mark.parametrize("values", [[350.0], [350.0, 12.0], [350.0, 12.0, 30.0, 1.0]])
def test_rows_with_too_few_or_too_many_values_are_refused(values: list[float]) -> None:
    flat = flat_of(fitted("forest", "two"), TWO)
    with pytest.raises(ValueError, match=f"{len(values)} values; the model reads 3"):
        flat.output(values)
    with pytest.raises(ValueError, match=f"{len(values)} values; the model reads 3"):
        flat.outputs(np.array([values]))


def test_numbers_beyond_float32_are_taken_as_its_greatest() -> None:
    flat = flat_of(fitted("boosting", "number"), NUMBER)
    assert flat.output([1e308, 12, 30]) == flat.output([LARGEST_FLOAT32, 12, 30])


def test_threads_may_share_a_model() -> None:
    pipeline = fitted("forest", "three")
    rows = rows_of(100, 7)
    expected = THREE.outputs(pipeline, FEATURES.frame(rows)).tolist()
    for _ in range(3):
        flat = flat_of(pipeline, THREE)  # its lists are made by whichever thread is first
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(flat.output, rows.to_numpy().tolist())) == expected


def test_a_model_from_its_file_is_flattened_alike() -> None:
    for point in ("forest", "boosting"):
        content = dump(fitted(point, "three"))
        rows = rows_of(200, 8).to_numpy()
        loaded = flat_of(load(content, hashlib.sha256(content).hexdigest()), THREE)
        own = flat_of(fitted(point, "three"), THREE)
        np.testing.assert_array_equal(loaded.outputs(rows), own.outputs(rows))


def test_a_feature_without_values_is_filled_as_scikit_learn_does() -> None:
    rows = rows_of(300, 9).assign(pressure=np.nan)
    every = np.ones(len(rows), dtype=bool)
    data = TrainingSet(FEATURES, TWO, rows, targets_of(rows, TWO), every, 0)
    pipeline = build(Trial("all", "random_forest", {"n_estimators": 3}), data)
    pipeline.fit(rows, data.targets)
    new = rows_of(300, 10)
    expected = TWO.outputs(pipeline, FEATURES.frame(new))
    np.testing.assert_array_equal(flat_of(pipeline, TWO).outputs(new.to_numpy()), expected)


def _scaled() -> Pipeline:
    return _with_encoder(make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()))


def _with_indicator() -> Pipeline:
    return _with_encoder(SimpleImputer(add_indicator=True))


def _zero_is_missing() -> Pipeline:
    return _with_encoder(SimpleImputer(missing_values=0.0))


def _with_encoder(number: Any, model: Any = None) -> Pipeline:
    encoder = ColumnTransformer([("number", number, FEATURES.names)])
    rows = rows_of(300, 0)
    return make_pipeline(encoder, RandomForestClassifier(3) if model is None else model).fit(
        rows, targets_of(rows, TWO)
    )


def _extra_trees() -> Pipeline:
    return _with_encoder(SimpleImputer(), ExtraTreesClassifier(3))


def _categorical_splits() -> Pipeline:
    rows = rows_of(300, 0).round(0).assign(duration=lambda each: each["duration"] - 25)
    encoder = ColumnTransformer([("number", SimpleImputer(), FEATURES.names)])
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features=[2])
    return make_pipeline(encoder, model).fit(rows, targets_of(rows, TWO))


def _summed_by_threads() -> Pipeline:
    return _with_encoder(SimpleImputer(), RandomForestClassifier(3, n_jobs=2))


def _some_columns_dropped() -> Pipeline:
    rows = rows_of(300, 0)
    encoder = ColumnTransformer([("number", SimpleImputer(), ["temp", "pressure"])])
    return make_pipeline(encoder, RandomForestClassifier(3)).fit(rows, targets_of(rows, TWO))


def _a_column_twice() -> Pipeline:
    rows = rows_of(300, 0)
    parts = [("number", SimpleImputer(), FEATURES.names), ("again", SimpleImputer(), ["temp"])]
    return make_pipeline(ColumnTransformer(parts), RandomForestClassifier(3)).fit(
        rows, targets_of(rows, TWO)
    )


def _without_encoder() -> Pipeline:
    rows = rows_of(300, 0)
    return make_pipeline(SimpleImputer(), RandomForestClassifier(3)).fit(
        rows, targets_of(rows, TWO)
    )


@pytest.mark.parametrize(
    "made",
    [
        _scaled,
        _with_indicator,
        _zero_is_missing,
        _extra_trees,
        _categorical_splits,
        _summed_by_threads,
        _some_columns_dropped,
        _a_column_twice,
        _without_encoder,
    ],
)
def test_a_pipeline_that_is_not_understood_is_left_to_scikit_learn(
    made: Callable[[], Pipeline],
) -> None:
    assert flattened(made(), FEATURES, TWO) is None


@pytest.mark.parametrize("family", ["logistic_regression", "random_forest"])
def test_linear_models_and_text_are_left_to_scikit_learn(family: str) -> None:
    rows = rows_of(300, 0).assign(lane=["left", "right", None] * 100)
    features = (
        FEATURES if family == "logistic_regression" else Features(FEATURES.numeric, ("lane",))
    )
    every = np.ones(len(rows), dtype=bool)
    data = TrainingSet(features, TWO, rows, targets_of(rows, TWO), every, 0)
    pipeline = build(Trial("all", family, {}), data).fit(rows[features.names], data.targets)
    assert flattened(pipeline, features, TWO) is None


def test_a_model_of_other_columns_or_another_problem_is_not_flattened() -> None:
    pipeline = fitted("forest", "two")
    assert flattened(pipeline, Features(("pressure", "temp", "duration")), TWO) is None
    assert flattened(pipeline, FEATURES, NUMBER) is None


def _refused(*_: object) -> None:
    raise AssertionError("the kernel was asked")


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not loaded the kernel, and is not to load it."""
    monkeypatch.setattr(kernel, "is_loaded", lambda: False)
    monkeypatch.setattr(kernel, "compiled", _refused)


@pytest.mark.usefixtures("no_kernel")
def test_a_row_by_itself_needs_no_kernel() -> None:
    flat = flat_of(fitted("forest", "two"), TWO)
    assert sum(flat.output([355.0, 12.0, 30.0])) == pytest.approx(1)


@pytest.mark.usefixtures("no_kernel")
def test_a_small_batch_does_not_load_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_ROWS", answers._Rows())
    pipeline, rows = fitted("forest", "two"), rows_of(50, 2)
    outputs = Answering(pipeline, FEATURES, TWO).outputs(rows)
    np.testing.assert_array_equal(outputs, TWO.outputs(pipeline, FEATURES.frame(rows)))


@pytest.mark.usefixtures("no_kernel")
def test_without_numba_scikit_learn_answers_any_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "is_installed", lambda: False)
    monkeypatch.setattr(answers, "ENOUGH_ROWS", 10)
    pipeline, rows = fitted("forest", "two"), rows_of(50, 2)
    outputs = Answering(pipeline, FEATURES, TWO).outputs(rows)
    np.testing.assert_array_equal(outputs, TWO.outputs(pipeline, FEATURES.frame(rows)))


@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_large_batch_and_one_in_a_process_that_has_the_kernel_are_answered_by_it(
    monkeypatch: pytest.MonkeyPatch, is_loaded: bool
) -> None:
    pipeline, rows = fitted("forest", "two"), rows_of(50, 2)
    expected = TWO.outputs(pipeline, FEATURES.frame(rows))
    monkeypatch.setattr(answers, "_ROWS", answers._Rows())
    monkeypatch.setattr(kernel, "is_loaded", lambda: is_loaded)
    monkeypatch.setattr(answers, "ENOUGH_ROWS", 1000 if is_loaded else 50)
    monkeypatch.setattr(Classification, "outputs", _refused)
    outputs = Answering(pipeline, FEATURES, TWO).outputs(rows)
    np.testing.assert_array_equal(outputs, expected)


def test_small_batches_of_a_process_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, rows = fitted("forest", "two"), rows_of(50, 2)
    expected = TWO.outputs(pipeline, FEATURES.frame(rows))
    monkeypatch.setattr(answers, "_ROWS", answers._Rows())
    monkeypatch.setattr(kernel, "is_loaded", lambda: False)
    monkeypatch.setattr(answers, "ENOUGH_ROWS", 100)
    asked = Answering(pipeline, FEATURES, TWO)
    asked.outputs(rows)
    monkeypatch.setattr(Classification, "outputs", _refused)
    np.testing.assert_array_equal(asked.outputs(rows), expected)


def test_what_cannot_be_flattened_is_answered_by_scikit_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "ENOUGH_ROWS", 10)
    pipeline, rows = _extra_trees(), rows_of(50, 2)
    outputs = Answering(pipeline, FEATURES, TWO).outputs(rows)
    np.testing.assert_array_equal(outputs, TWO.outputs(pipeline, FEATURES.frame(rows)))


def test_a_process_flattens_a_version_once() -> None:
    pipeline = fitted("forest", "two")
    first = answering("a digest", pipeline, FEATURES, TWO)
    assert answering("a digest", pipeline, FEATURES, TWO) is first
    again = answering("a digest", pipeline, FEATURES, Classification((0, 1, 2), 1))
    assert again.outputs(rows_of(5, 2)).shape == (5, 3)
