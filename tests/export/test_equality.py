"""An exported model answers as scikit-learn's does, for each family and problem, or is refused."""

from functools import cache
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from lakehouse.errors import ConfigurationError, RegistryError
from lakehouse.export.equality import (
    Equality,
    compared,
    session_of,
    threshold_rows,
    thresholds_of,
)
from lakehouse.export.export import check_equality
from lakehouse.export.graph import exported, missing_text, text_encoder
from lakehouse.models import Classification, Features, Regression
from lakehouse.models.trials import TrainingSet, Trial, build

FEATURES = Features(("temp", "pressure", "duration"), ("furnace",))
NUMBERS = Features(("temp", "pressure", "duration"))
PROBLEMS = {
    "two classes": Classification((0, 1), 1),
    "three classes": Classification(("a", "b", "c"), "b"),
    "a class that is never seen": Classification(("a", "never", "b", "c"), "b"),
    "number": Regression(tolerance=1.0),
}
POINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "tree": ("decision_tree", {}),
    "forest": ("random_forest", {"n_estimators": 7}),
    "forest of large leaves": ("random_forest", {"n_estimators": 7, "min_samples_leaf": 20}),
    "boosting": ("hist_gradient_boosting", {"max_iter": 8, "max_leaf_nodes": 8}),
    "linear": ("logistic_regression", {"max_iter": 200}),
}


def rows_of(count: int) -> pd.DataFrame:
    random = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "temp": (350 + 10 * random.random(count)).round(1),
            "pressure": 12 + 2 * random.standard_normal(count),
            "duration": 28.5 + 4 * random.random(count),
            "furnace": random.choice(["north", "south", "", None], count),
        }
    )
    rows.loc[::9, "pressure"] = np.nan
    return FEATURES.frame(rows)


def targets_of(rows: pd.DataFrame, problem: Any) -> np.ndarray:
    height = (rows["temp"] - 350) + (rows["furnace"] == "north") + rows["duration"] / 9
    if isinstance(problem, Regression):
        return (2000 * np.sin(height)).to_numpy()
    seen = [place for place, name in enumerate(problem.classes) if name != "never"]
    return np.array(seen)[height.to_numpy().astype(int) % len(seen)]


@cache
def fitted(point: str, name: str, features: Features = FEATURES) -> Pipeline:
    problem, rows = PROBLEMS[name], rows_of(400)
    family, parameters = POINTS[point]
    if point == "linear" and isinstance(problem, Regression):
        family, parameters = "ridge_regression", {}
    targets = targets_of(rows, problem)
    every = np.ones(len(rows), dtype=bool)
    data = TrainingSet(features, problem, rows, targets, every, 0)
    model = build(Trial("", family, parameters), data)
    return model.fit(rows[features.names], targets)


def missing_of(pipeline: Pipeline) -> list[str]:
    encoder = text_encoder(pipeline)
    return [missing_text(encoder, 0)] if encoder else []


def equality_of(
    pipeline: Pipeline, name: str, features: Features = FEATURES, content: bytes = b""
) -> Equality:
    content = content or exported(pipeline, features, PROBLEMS[name]).SerializeToString()
    training = rows_of(400)[features.names]
    missing = missing_of(pipeline)
    return compared(pipeline, session_of(content), features, PROBLEMS[name], training, missing)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("point", POINTS)
def test_no_row_is_called_otherwise_at_thresholds_with_nulls_or_with_unknown_texts(point, name):
    found = equality_of(fitted(point, name), name)
    assert found.calls_that_differ == 0
    assert found.greatest_difference <= 1e-10
    assert (found.training_rows, found.threshold_rows > 15) == (400, True)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("point", ["tree", "forest", "forest of large leaves"])
def test_trees_and_forests_give_the_very_same_doubles(point, name):
    assert equality_of(fitted(point, name), name).greatest_difference == 0.0


def test_a_model_that_reads_numbers_alone_has_one_input():
    pipeline = fitted("boosting", "two classes", NUMBERS)
    model = exported(pipeline, NUMBERS, PROBLEMS["two classes"])
    assert [each.name for each in model.graph.input] == ["numbers"]
    assert equality_of(pipeline, "two classes", NUMBERS).calls_that_differ == 0


def test_a_tree_of_a_single_leaf_is_exported():
    problem, rows = PROBLEMS["two classes"], rows_of(50)
    family = Trial("", "random_forest", {"n_estimators": 3, "min_samples_leaf": 40})
    targets = targets_of(rows, problem)
    data = TrainingSet(FEATURES, problem, rows, targets, np.ones(50, dtype=bool), 0)
    pipeline = build(family, data).fit(rows, targets)
    assert all(tree.tree_.node_count == 1 for tree in pipeline[-1].estimators_)
    assert equality_of(pipeline, "two classes").greatest_difference == 0.0


def test_threshold_rows_have_each_threshold_and_the_next_double_on_both_sides():
    pipeline = fitted("tree", "two classes", NUMBERS)
    rows = threshold_rows(pipeline, NUMBERS, rows_of(400)[NUMBERS.names])
    for feature, threshold in thresholds_of(pipeline[-1]):
        values = set(rows[NUMBERS.numeric[int(feature)]])
        near = {threshold, np.nextafter(threshold, np.inf), np.nextafter(threshold, -np.inf)}
        assert near <= values
    assert rows.isna().any().all()


@pytest.mark.parametrize("point", ["tree", "forest", "boosting"])
def test_a_threshold_that_is_moved_by_one_double_is_seen(point):
    """Training rows do not show it: what lies at the threshold does."""
    pipeline = fitted(point, "two classes", NUMBERS)
    model = exported(pipeline, NUMBERS, PROBLEMS["two classes"])
    (trees,) = [node for node in model.graph.node if node.op_type == "TreeEnsemble"]
    (splits,) = [each.t for each in trees.attribute if each.name == "nodes_splits"]
    moved = onnx.numpy_helper.to_array(splits).astype(np.float32).astype(np.float64)
    moved = np.nextafter(np.nextafter(moved, np.float32(np.inf)), np.float32(np.inf))
    splits.CopyFrom(onnx.numpy_helper.from_array(moved, splits.name))
    found = equality_of(pipeline, "two classes", NUMBERS, model.SerializeToString())
    assert found.greatest_difference > 0
    assert found.calls_that_differ > 0


def test_an_export_of_which_one_call_differs_is_refused_with_one_sentence():
    check_equality(Equality(400, 100, 1e-12, 0), "glassware version 3")
    with pytest.raises(RegistryError, match=r"calls 1 of 500 rows otherwise.*nothing was written"):
        check_equality(Equality(400, 100, 0.5, 1), "glassware version 3")


def test_a_model_that_the_exporter_does_not_know_is_refused_by_its_name():
    pipeline, problem = fitted("tree", "two classes"), PROBLEMS["two classes"]
    rows = rows_of(100)
    other = ExtraTreesClassifier(2).fit(pipeline[:-1].transform(rows), targets_of(rows, problem))
    with pytest.raises(ConfigurationError, match="does not know ExtraTreesClassifier"):
        exported(make_pipeline(pipeline[0], other), FEATURES, problem)


def test_a_missing_text_stands_for_no_category_and_an_empty_one_may_be_one():
    encoder = text_encoder(fitted("linear", "two classes"))
    assert list(encoder.categories_[0]) == ["", "north", "south", None]
    assert missing_text(encoder, 0) == "<missing>"


def test_the_same_model_gives_the_same_file():
    pipeline, problem = fitted("forest", "three classes"), PROBLEMS["three classes"]
    first, second = (
        exported(pipeline, FEATURES, problem).SerializeToString(deterministic=True)
        for _ in range(2)
    )
    assert first == second
