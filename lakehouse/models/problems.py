"""The two problems that a model can solve: its targets, outputs, errors and losses.

Both say which rows are wrong, because the decision to retrain rests on those counts. Both give each
row a loss, because the gate compares two models row by row. And both sort predictions into kinds:
the classes, or a single kind for all numbers. The rest of the loop asks a problem and never which
of the two it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_regressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from lakehouse.settings import ModelSettings, Scalar

Families: TypeAlias = Mapping[str, Callable[..., Any]]
# Of both problems: `skill_name`, `naive_name`, `won_by` and `too_few` are words of a gate's result;
# `expects_by_errors` says whether the expected error is learned from the errors themselves (see
# `events`), not from labels.


@dataclass(frozen=True)
class Classification:
    """Which class? A target is the place of a class, an output the probability of each class (rows
    × classes).

    A row is right where the most probable class is its label's; its loss is 1 where it is not, else
    0.

    Attributes:
        classes: by their codes.
        positive: of two classes, the one whose probability is the score.
        retired: those that labels do not have any more; they keep their codes, and are not learned.
    """

    classes: tuple[Scalar, ...]
    positive: Scalar
    retired: tuple[Scalar, ...] = ()

    families: ClassVar[Families] = {
        "decision_tree": DecisionTreeClassifier,
        "random_forest": RandomForestClassifier,
        "hist_gradient_boosting": HistGradientBoostingClassifier,
        "logistic_regression": LogisticRegression,
    }
    skill_name: ClassVar[str] = "accuracy"
    naive_name: ClassVar[str] = "majority class"
    won_by: ClassVar[str] = "right by"
    too_few: ClassVar[str] = "too few rows of each class to compare models on"
    expects_by_errors: ClassVar[bool] = False

    @property
    def active(self) -> tuple[Scalar, ...]:
        """The classes that labels have, in the order of their codes."""
        return tuple(label for label in self.classes if label not in self.retired)

    @property
    def kinds(self) -> tuple[Scalar, ...]:
        """The kinds of predictions: the classes by their codes."""
        return self.classes

    @property
    def is_binary(self) -> bool:
        """Whether labels have two classes."""
        return len(self.active) == 2

    def score(self, outputs: np.ndarray) -> np.ndarray:
        """Of two classes the positive one's probability, of more the greatest."""
        if self.is_binary:
            return outputs[:, self.classes.index(self.positive)]
        return outputs.max(axis=1)

    def targets(self, labels: pd.Series) -> np.ndarray:
        """The code of each label (int64)."""
        return pd.Categorical(labels, categories=list(self.classes)).codes.astype(np.int64)

    def outputs(self, model: Pipeline, rows: pd.DataFrame) -> np.ndarray:
        """Rows × classes; a class that the model never saw has probability zero."""
        return probabilities(model, rows, len(self.classes))

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        """The place of the most probable class; of equals, the first."""
        return outputs.argmax(axis=1)

    def columns(self, outputs: np.ndarray) -> dict[str, Any]:
        """The columns of a prediction: `prediction`, and `score` as in the predictions table."""
        return {
            "prediction": [self.classes[code] for code in self.predicted(outputs)],
            "score": self.score(outputs),
        }

    def kind_of(self, values: np.ndarray) -> np.ndarray:
        """The place of each prediction or target among the kinds: its code."""
        return values

    def unknown(self, rows: int) -> np.ndarray:
        """Predictions for so many rows that no model was asked about: code -1."""
        return np.full(rows, -1)

    def is_known(self, predicted: np.ndarray) -> np.ndarray:
        """Return the mask of the rows that a model predicted."""
        return predicted >= 0

    def is_right(self, predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return whether each row's class is its label's."""
        return predicted == targets

    def differ(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return whether at most one of two predictions can be right."""
        return one != other

    def events(self, predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The expected error's target: the code of each label, whatever was predicted."""
        return targets

    def losses(self, predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """0 for a right row, 1 for a wrong one."""
        return (predicted != targets).astype(float)

    def summary(self, predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """The figures of a verdict."""
        return {"accuracy": self.skill(predicted, targets)}

    def skill(self, predicted: np.ndarray, targets: np.ndarray) -> float:
        """Accuracy."""
        return float((predicted == targets).mean())

    def naive_skill(self, targets: np.ndarray) -> float:
        """The accuracy of always saying the majority class."""
        return float(np.bincount(targets).max() / len(targets))

    def metrics(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Accuracy, and the mean negative log probability of the true class in nats."""
        true = np.clip(outputs[np.arange(len(targets)), targets], np.finfo(float).eps, 1.0)
        return {
            "accuracy": self.skill(self.predicted(outputs), targets),
            "log_loss": float(-np.log(true).mean()),
        }

    def can_predict(self, model: Pipeline, targets: np.ndarray) -> np.ndarray:
        """Return which targets the model can predict: those of classes that it was fitted to."""
        return np.isin(targets, model.classes_)

    def difference(self, model: Pipeline) -> str | None:
        """Return why the model does not solve this problem, if so."""
        if not is_classifier(model):
            return "it gives no probabilities of classes"
        if len(model.classes_) < 2:
            return "it was trained on a single class"
        strange = set(model.classes_) - set(range(len(self.classes)))
        if strange:
            return f"it knows more classes than the {len(self.classes)} of the settings"
        return None


@dataclass(frozen=True)
class Regression:
    """How much? A target is the label, an output one number per row, in the label's unit.

    A row is right where its prediction is no farther than the tolerance from its label; its loss is
    that distance.

    Attributes:
        tolerance: the farthest that still counts as right, in the label's unit.
    """

    tolerance: float

    families: ClassVar[Families] = {
        "decision_tree": DecisionTreeRegressor,
        "random_forest": RandomForestRegressor,
        "hist_gradient_boosting": HistGradientBoostingRegressor,
        "ridge_regression": Ridge,
    }
    skill_name: ClassVar[str] = "r2_score"
    naive_name: ClassVar[str] = "mean label"
    won_by: ClassVar[str] = "predicted better by"
    too_few: ClassVar[str] = "too few rows of different labels to compare models on"
    expects_by_errors: ClassVar[bool] = True

    def targets(self, labels: pd.Series) -> np.ndarray:
        """The labels as float64."""
        return labels.to_numpy(dtype=np.float64)

    def outputs(self, model: Pipeline, rows: pd.DataFrame) -> np.ndarray:
        """A number for each row."""
        return np.asarray(model.predict(rows), dtype=np.float64)

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        """The outputs themselves."""
        return outputs

    def columns(self, outputs: np.ndarray) -> dict[str, Any]:
        """Return what a prediction says of itself: `prediction` alone."""
        return {"prediction": outputs}

    @property
    def kinds(self) -> tuple[Scalar, ...]:
        """The kinds of predictions: there is one."""
        return ("predicted within the tolerance",)

    def kind_of(self, values: np.ndarray) -> np.ndarray:
        """Zero for each prediction or target: all numbers are of one kind."""
        return np.zeros(len(values), dtype=np.int64)

    def unknown(self, rows: int) -> np.ndarray:
        """Predictions for so many rows that no model was asked about: NaN."""
        return np.full(rows, np.nan)

    def is_known(self, predicted: np.ndarray) -> np.ndarray:
        """Return the mask of the rows that a model predicted."""
        return ~np.isnan(predicted)

    def is_right(self, predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return whether each row is within the tolerance; the tolerance itself is, NaN is not."""
        return np.abs(predicted - targets) <= self.tolerance

    def differ(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return whether two predictions exclude one another: they differ by > 2 tolerances."""
        return np.abs(one - other) > 2 * self.tolerance

    def events(self, predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The expected error's target: 1 where the prediction is wrong, else 0."""
        return (~self.is_right(predicted, targets)).astype(np.int64)

    def losses(self, predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The absolute error, in the label's unit; that of NaN is infinite."""
        distances = np.abs(predicted - targets)
        return np.where(np.isnan(distances), np.inf, distances)

    def summary(self, predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """A gate's figures: mean absolute error, and share of rows within the tolerance."""
        return {
            "mean_absolute_error": float(self.losses(predicted, targets).mean()),
            "within_tolerance": float(self.is_right(predicted, targets).mean()),
        }

    def skill(self, predicted: np.ndarray, targets: np.ndarray) -> float:
        """R²: 1 - (sum of squared errors) / (sum of squares about the targets' mean)."""
        spread = float(np.square(targets - targets.mean()).sum())
        return 1.0 - float(np.square(predicted - targets).sum()) / spread

    def naive_skill(self, _: np.ndarray) -> float:
        """The R² of always saying the mean label: 0 by its definition."""
        return 0.0

    def metrics(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """The mean squared error, R², and the figures of a verdict."""
        squared = {"mean_squared_error": float(np.square(outputs - targets).mean())}
        return squared | {"r2_score": self.skill(outputs, targets)} | self.summary(outputs, targets)

    def can_predict(self, _: Pipeline, targets: np.ndarray) -> np.ndarray:
        """All targets."""
        return np.ones(len(targets), dtype=bool)

    def difference(self, model: Pipeline) -> str | None:
        """Return why the model does not solve this problem, if so."""
        return None if is_regressor(model) else "it does not predict a number"


Problem: TypeAlias = Classification | Regression


def problem_of(model: ModelSettings) -> Problem:
    """The problem that the settings name."""
    if model.predictions.tolerance is not None:
        return Regression(model.predictions.tolerance)
    return Classification(model.classes, model.positive, model.retired_classes)


def probabilities(model: Pipeline, rows: pd.DataFrame, n_classes: int) -> np.ndarray:
    """Rows × classes; a class that the model never saw has probability zero."""
    of_seen = model.predict_proba(rows)
    if of_seen.shape[1] == n_classes:
        return of_seen
    full = np.zeros((len(rows), n_classes))
    full[:, model.classes_] = of_seen
    return full


def is_finite(outputs: np.ndarray) -> np.ndarray:
    """The mask of the rows whose whole output is finite; others have no prediction."""
    finite = np.isfinite(outputs)
    return np.asarray(finite if finite.ndim == 1 else finite.all(axis=1))
