"""Weighted rows: a family fitted and cross-fitted on rows that do not all count the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from lakehouse.models.problems import Problem
from lakehouse.models.trials import (
    SCALED,
    CrossFit,
    Failed,
    TrainingSet,
    Trial,
    build,
    estimator,
    failure,
)


@dataclass(frozen=True)
class Weighting:
    """Which rows are fitted on, and how much each counts.

    Attributes:
        whole: weights of all rows of the training set; zero for those not taken.
        by_fold: for each fold, the weights of its model; zero for the rows of the fold.
        fold: of each row.
    """

    whole: np.ndarray
    by_fold: tuple[np.ndarray, ...]
    fold: np.ndarray


@dataclass(frozen=True)
class MatrixLearner:
    """A point of a family's grid, fitted to a matrix of numbers: what candidates are compared with.

    Attributes:
        trial: the point.
        problem: what is learned.
        seed: of what is random.
        columns: places of the matrix's columns that are learned from; all of them without it.
    """

    trial: Trial
    problem: Problem
    seed: int
    columns: tuple[int, ...] | None = None

    def __call__(self, features: np.ndarray, codes: np.ndarray, weights: np.ndarray) -> Pipeline:
        """The fitted model; missing values are taken at the median of its rows."""
        scale = [StandardScaler()] if self.trial.family in SCALED else []
        fill = SimpleImputer(strategy="median", keep_empty_features=True)
        chosen = [("kept", "passthrough", list(self.columns or ()))]
        select = [] if self.columns is None else [ColumnTransformer(chosen)]
        model = make_pipeline(*select, fill, *scale, estimator(self.trial, self.problem, self.seed))
        return model.fit(features, codes, **_weights_of(model, weights))


def fit_weighted(trial: Trial, data: TrainingSet, weights: np.ndarray) -> Pipeline:
    """The trial's pipeline, fitted to the rows with a weight."""
    taken, model = weights > 0, build(trial, data)
    rows = data.rows.loc[taken, data.features.names]
    return model.fit(rows, data.targets[taken], **_weights_of(model, weights[taken]))


def cross_fit_weighted(trial: Trial, data: TrainingSet, weighting: Weighting) -> CrossFit | Failed:
    """Out-of-fold outputs of every row that is taken or judged; those of the others are NaN.

    Returns:
        Figures are of the judged rows. A failure where scikit-learn refuses what it is to fit.
    """
    wanted = (weighting.whole > 0) | data.judged
    outputs: np.ndarray | None = None
    try:
        for place, weights in enumerate(weighting.by_fold):
            out = wanted & (weighting.fold == place)
            if not out.any():
                continue
            model = fit_weighted(trial, data, weights)
            of_fold = data.problem.outputs(model, data.rows.loc[out, data.features.names])
            if outputs is None:
                outputs = np.full((len(wanted), *of_fold.shape[1:]), np.nan)
            outputs[out] = of_fold
    except ValueError as error:
        return failure(error)
    if outputs is None:
        return Failed(data.problem.too_few)
    return CrossFit(outputs, data.problem.metrics(outputs[data.judged], data.targets[data.judged]))


def _weights_of(model: Pipeline, weights: np.ndarray) -> Mapping[str, Any]:
    return {f"{model.steps[-1][0]}__sample_weight": weights}
