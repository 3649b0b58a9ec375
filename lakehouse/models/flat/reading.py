"""Fitted pipelines to flat trees; None where a pipeline is not understood."""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from lakehouse.models.flat.finish import Averaged, Boosted, Classes
from lakehouse.models.flat.model import FlatModel
from lakehouse.models.flat.trees import Trees, trees_of
from lakehouse.models.problems import Classification, Problem
from lakehouse.models.trials import Features

_TREES = (DecisionTreeClassifier, DecisionTreeRegressor)
_FORESTS = (RandomForestClassifier, RandomForestRegressor)
_BOOSTED = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)


def flattened(pipeline: Pipeline, features: Features, problem: Problem) -> FlatModel | None:
    """The pipeline's trees as flat arrays, with the answers of `problem.outputs` to the bit.

    Returns:
        None where the pipeline is not understood, and scikit-learn has to answer: text features,
        linear models, categorical splits, another encoder than a median of each number, a forest
        whose threads sum in no order, or a class of estimators that is not ours.
    """
    fill = _fill_of(pipeline, features)
    if fill is None or problem.difference(pipeline) is not None:
        return None
    model = pipeline[-1]
    if type(model) in _BOOSTED:
        return _of_boosting(model, fill, problem)
    if type(model) in _TREES and model.n_outputs_ == 1:
        return _of_forest(model, fill, problem)
    if type(model) in _FORESTS and model.n_outputs_ == 1 and model.n_jobs in (None, 1):
        return _of_forest(model, fill, problem)
    return None


def _fill_of(pipeline: Pipeline, features: Features) -> np.ndarray | None:
    """What stands for a missing value of each feature; None where more is done to the features."""
    encoder = pipeline[0]
    if len(pipeline) != 2 or type(encoder) is not ColumnTransformer:
        return None
    # Texts, and columns that are left out, are a second one.
    if len(encoder.transformers_) != 1:
        return None
    _, imputer, columns = encoder.transformers_[0]
    if type(imputer) is not SimpleImputer or list(columns) != features.names:
        return None
    if imputer.add_indicator or not np.isscalar(imputer.missing_values):
        return None
    statistics = np.asarray(imputer.statistics_)
    is_known = statistics.dtype == np.float64 and bool(np.isfinite(statistics).all())
    return statistics if is_known and np.isnan(imputer.missing_values) else None


def _classes_of(model: Any, problem: Problem) -> Classes | None:
    if not isinstance(problem, Classification):
        return None
    return Classes(tuple(int(code) for code in model.classes_), len(problem.classes))


def _of_forest(model: Any, fill: np.ndarray, problem: Problem) -> FlatModel:
    """A tree, or a forest: the mean of its trees' leaves."""
    trees, classes = trees_of(model), _classes_of(model, problem)
    width = len(classes.codes) if classes else 1
    finish = Averaged(len(trees), classes)
    return FlatModel(Trees.of(trees, np.float32), fill, np.zeros(width), finish)


def _of_boosting(model: Any, fill: np.ndarray, problem: Problem) -> FlatModel | None:
    """Histogram boosting: a start for each output, and each tree's leaves in turn."""
    if model.is_categorical_ is not None:
        return None
    start = np.zeros(model.n_trees_per_iteration_) + model._baseline_prediction.ravel()
    finish = Boosted(model._loss, _classes_of(model, problem))
    return FlatModel(Trees.of(trees_of(model), np.float64), fill, start, finish)
