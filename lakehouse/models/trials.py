"""Trials: the families' grids, a trial's pipeline, and what bars a model from taking over."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from lakehouse.errors import ConfigurationError
from lakehouse.models.problems import Problem, is_finite
from lakehouse.redaction import without_values
from lakehouse.settings import ModelSettings

# Families whose penalty depends on the features' units.
SCALED = frozenset({"logistic_regression", "ridge_regression"})
_LONGEST_REASON = 500
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Trial:
    """A family at one point of its grid, on the rows of one candidate (`window`)."""

    window: str
    family: str
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Unique among the trials of one training."""
        return f"{self.window} {self.family} {json.dumps(dict(self.parameters), sort_keys=True)}"


@dataclass(frozen=True)
class Features:
    """The columns that a model reads, in order: numbers as they are, text encoded."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All of them, in the order in which the model is fitted."""
        return [*self.numeric, *self.categorical]

    def frame(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The columns as models take them: numbers as doubles, text as objects.

        A column that is not there is missing. Whole numbers beyond 2**53 become the nearest
        double, numbers beyond float32, which trees compute in, its greatest. The types of a frame
        do not depend on which values it has: encoders refuse others than they know.
        """
        columns = {
            name: rows[name] if name in rows else pd.Series(None, rows.index, object)
            for name in self.names
        }
        numbers = {name: _numbers(columns[name]) for name in self.numeric}
        texts = {name: _objects(columns[name]) for name in self.categorical}
        return pd.DataFrame({**numbers, **texts}, index=rows.index)


def _numbers(column: pd.Series) -> np.ndarray:
    numbers = column.where(column.notna(), np.nan) if column.dtype == object else column
    return np.clip(numbers.to_numpy(np.float64, na_value=np.nan), -LARGEST_FLOAT32, LARGEST_FLOAT32)


def _objects(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), None)


def features_of(model: ModelSettings) -> Features:
    """The model's features by kind, in the order of its settings."""
    kinds = {name: model.readings.columns[name].type for name in model.predictions.features}
    text = tuple(name for name, kind in kinds.items() if kind == "string")
    return Features(tuple(name for name in kinds if name not in text), text)


@dataclass(frozen=True)
class TrainingSet:
    """The labelled rows that all trials of one training share.

    Attributes:
        features: the columns of `rows`.
        problem: what the rows are to teach.
        rows: the feature columns.
        targets: what each row is to be fitted to.
        judged: mask of the rows that trials are compared on.
        seed: of what is random.
    """

    features: Features
    problem: Problem
    rows: pd.DataFrame
    targets: np.ndarray
    judged: np.ndarray
    seed: int


@dataclass(frozen=True)
class CrossFit:
    """What a trial gives for rows, each by a model that was not fitted on it.

    Attributes:
        outputs: of all rows, as the problem has them; NaN for a row that was not asked for.
        metrics: the problem's figures of the judged rows, by name.
    """

    outputs: np.ndarray
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Failed:
    """A trial that gave nothing to compare, and why."""

    reason: str


def grid(
    windows: Sequence[str], families: Mapping[Any, Mapping[str, Sequence[Any]]]
) -> list[Trial]:
    """Every point of every family's grid on every window, in the order of the settings."""
    return [
        Trial(window, family, dict(zip(axes, point, strict=True)))
        for window in windows
        for family, axes in families.items()
        for point in itertools.product(*axes.values())
    ]


def failure(error: ValueError) -> Failed:
    """Return what scikit-learn refused to fit."""
    return Failed(f"scikit-learn: {without_values(str(error))}"[:_LONGEST_REASON])


def flaw_of(model: Pipeline, outputs: np.ndarray, data: TrainingSet) -> str | None:
    """Return why a fitted trial may never take over, whatever it scored; None if it may.

    It reads other columns than the settings say, solves another problem, has seen a single class,
    or its output for a judged row is not a finite number, cross-fitted or not.
    """
    difference = difference_of(model, data.features, data.problem)
    if difference:
        return difference
    for given in (
        outputs,
        data.problem.outputs(model, data.rows.loc[data.judged, data.features.names]),
    ):
        strange = ~is_finite(given)
        if strange.any():
            return f"its output is not a finite number for {strange.sum()} of {len(strange)} rows"
    return None


def difference_of(model: Pipeline, features: Features, problem: Problem) -> str | None:
    """Return how the model's columns or output differ from what is meant; None if not."""
    read = list(model.feature_names_in_)
    if read != features.names:
        return f"it reads {', '.join(read)}, not {', '.join(features.names)}"
    return problem.difference(model)


def check_families(families: Mapping[Any, Mapping[str, Sequence[Any]]], problem: Problem) -> None:
    """Return whether every point of every grid is one that its family takes.

    Raises:
        ConfigurationError: a parameter is unknown, or has an impossible value.
    """
    for trial in grid([""], families):
        try:
            # scikit-learn checks parameters by this when it fits, which would be too late here.
            estimator(trial, problem, seed=0)._validate_params()
        except ValueError as error:  # scikit-learn's InvalidParameterError says what to write
            raise ConfigurationError(f"training.families.{trial.family}: {error}") from error


def build(trial: Trial, data: TrainingSet) -> Pipeline:
    """The trial's pipeline, not fitted."""
    return make_pipeline(
        _encoder(data.features, trial.family in SCALED), estimator(trial, data.problem, data.seed)
    )


def estimator(trial: Trial, problem: Problem, seed: int) -> Any:
    """The trial's estimator, not fitted.

    Raises:
        ConfigurationError: the family does not take one of the parameters.
    """
    family, parameters = problem.families[trial.family], dict(trial.parameters)
    taken = family().get_params()
    wrong = [name for name in parameters if name not in taken]
    if wrong:
        known_names = ", ".join(sorted(taken))
        raise ConfigurationError(
            f"training.families.{trial.family}: {wrong[0]} is not known; write one of {known_names}"
        )
    return family(**{"random_state": seed, **parameters})


def _encoder(features: Features, scaled: bool) -> ColumnTransformer:
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    number = make_pipeline(fill, StandardScaler()) if scaled else fill
    text = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    steps = [("number", number, list(features.numeric)), ("text", text, list(features.categorical))]
    return ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)


def example_places(rows: pd.DataFrame, n_rows: int) -> np.ndarray:
    """Places of rows that show what each column may hold: the first ones, and for a column that
    shows no value among them, or no missing one, the first row that has it.

    A model's signature is inferred from them: of a column without a value it could say no type.
    """
    places = set(range(min(n_rows, len(rows))))
    for has_value in rows.notna().to_numpy().T:
        places |= {
            int(np.argmax(has_value == wanted))
            for wanted in (True, False)
            if (has_value == wanted).any()
        }
    return np.array(sorted(places), dtype=np.int64)
