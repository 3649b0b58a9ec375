"""The additive facts of a regressor's errors, and the metrics that they give."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from lakehouse.profiling.moments import NO_MOMENTS, Moments
from lakehouse.quality.first_model import accuracy_without_retraining, merged_right

SMALLEST_LABEL = float(np.finfo(np.float64).eps)
"""The least divisor of a percentage error, as in scikit-learn: a label of zero gives a huge one."""

METRICS = (
    "mean_squared_error",
    "root_mean_squared_error",
    "mean_average_error",
    "mean_absolute_percentage_error",
    "r2_score",
    "accuracy_without_retraining",
)

_MOMENTS = ("mean", "mean_rest", "m2")


@dataclass(frozen=True)
class RegressionFacts:
    """What is known of a regressor's errors; facts of parts merge to the facts of the whole.

    Grain: any set of predicted rows of one regressor. An error is prediction minus label, in the
    label's unit; rows
    without a finite label have none. A row is right where its absolute error is at most the
    tolerance.

    Attributes:
        tolerance: The largest absolute error of a right row, in the label's unit.
        n_rows: Predicted rows.
        n_right: Labelled rows whose error is within the tolerance.
        labels: Count, mean and squared deviations of the labels.
        errors: Count, mean (the bias) and squared deviations of the errors.
        sum_absolute_error: Sum of the errors' absolute values.
        sum_absolute_percentage_error: Sum of |error| / max(|label|, SMALLEST_LABEL), as a share.
        n_right_without_retraining: Rows that the first model gets right; None if not known of each.
    """

    tolerance: float
    n_rows: int = 0
    n_right: int = 0
    labels: Moments = NO_MOMENTS
    errors: Moments = NO_MOMENTS
    sum_absolute_error: float = 0.0
    sum_absolute_percentage_error: float = 0.0
    n_right_without_retraining: int | None = 0

    @classmethod
    def of(
        cls,
        predictions: Sequence[float],
        labels: Sequence[float | None],
        tolerance: float,
        without_retraining: Sequence[float | None] | None = None,
    ) -> "RegressionFacts":
        """The facts of predicted rows.

        Args:
            predictions: The predicted number of each row.
            labels: The true number of each row; None or NaN where it has not arrived.
            tolerance: The largest absolute error of a right row.
            without_retraining: The first model's predictions; None where it was not asked.

        Raises:
            ValueError: Lengths differ, a prediction is not finite, or the tolerance is negative.
        """
        predicted, actual = _numbers(predictions), _numbers(labels)
        unretrained = np.full(len(actual), np.nan)
        if without_retraining is not None:
            unretrained = _numbers(without_retraining)
        if not len(predicted) == len(actual) == len(unretrained):
            raise ValueError(
                f"There are {len(predicted)} predictions, {len(actual)} labels and "
                f"{len(unretrained)} predictions without retraining: pass one of each per row."
            )
        is_labelled = np.isfinite(actual)
        errors, actual = predicted[is_labelled] - actual[is_labelled], actual[is_labelled]
        if not np.isfinite(errors).all():
            raise ValueError("A prediction is not finite: pass only rows that were predicted.")
        distances, others = np.abs(errors), np.abs(unretrained[is_labelled] - actual)
        return replace(
            cls.empty(tolerance),
            n_rows=len(predicted),
            n_right=int((distances <= tolerance).sum()),
            labels=Moments.of(actual),
            errors=Moments.of(errors),
            sum_absolute_error=float(distances.sum()),
            sum_absolute_percentage_error=float(
                (distances / np.maximum(np.abs(actual), SMALLEST_LABEL)).sum()
            ),
            n_right_without_retraining=None
            if np.isnan(others).any()
            else int((others <= tolerance).sum()),
        )

    @classmethod
    def empty(cls, tolerance: float) -> "RegressionFacts":
        """The facts of no rows: what merging leaves as it is.

        Raises:
            ValueError: The tolerance is negative or no number.
        """
        if not tolerance >= 0:
            raise ValueError(f"Write a tolerance of 0 or more, not {tolerance}.")
        return cls(float(tolerance))

    @property
    def n_labelled(self) -> int:
        """Rows with a label."""
        return self.labels.n

    def merge(self, other: "RegressionFacts") -> "RegressionFacts":
        """The facts of both sets of rows together.

        Raises:
            ValueError: The facts count as right what is within different tolerances.
        """
        if self.tolerance != other.tolerance:
            raise ValueError(
                f"Facts of different tolerances cannot be merged: {self.tolerance} and "
                f"{other.tolerance}. Compute both with the same one."
            )
        return RegressionFacts(
            tolerance=self.tolerance,
            n_rows=self.n_rows + other.n_rows,
            n_right=self.n_right + other.n_right,
            labels=self.labels.merge(other.labels),
            errors=self.errors.merge(other.errors),
            sum_absolute_error=self.sum_absolute_error + other.sum_absolute_error,
            sum_absolute_percentage_error=self.sum_absolute_percentage_error
            + other.sum_absolute_percentage_error,
            n_right_without_retraining=merged_right(self, other),
        )

    def to_row(self) -> dict[str, Any]:
        """The facts as plain values, for a Spark struct of the same field names."""
        facts = {
            name: value for name, value in vars(self).items() if name not in ("labels", "errors")
        }
        parts = {"label": self.labels, "error": self.errors}
        moments = {
            f"{part}_{name}": getattr(values, name)
            for part, values in parts.items()
            for name in _MOMENTS
        }
        return {**facts, "n_labelled": self.n_labelled, **moments}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "RegressionFacts":
        """The inverse of `to_row`; the struct may have other models' fields, too."""
        n = row["n_labelled"]
        labels, errors = (
            Moments(n, *(row[f"{part}_{name}"] for name in _MOMENTS)) for part in ("label", "error")
        )
        plain = {
            field.name: row[field.name]
            for field in fields(cls)
            if field.name not in ("labels", "errors")
        }
        return cls(**{**plain, "labels": labels, "errors": errors})


def metrics_of(facts: RegressionFacts) -> dict[str, float | None]:
    """A regressor's columns of `profile_metrics`, by name, as scikit-learn computes them.

    None where nothing is labelled. Errors are in the label's unit (the percentage error a share).
    """
    n = facts.n_labelled
    if not n:
        return dict.fromkeys(METRICS)
    bias = facts.errors.mean + facts.errors.mean_rest
    squared_error = facts.errors.m2 / n + bias * bias
    return {
        "mean_squared_error": squared_error,
        "root_mean_squared_error": math.sqrt(squared_error),
        "mean_average_error": facts.sum_absolute_error / n,
        "mean_absolute_percentage_error": facts.sum_absolute_percentage_error / n,
        "r2_score": _r2(facts, squared_error),
        "accuracy_without_retraining": accuracy_without_retraining(facts),
    }


def _r2(facts: RegressionFacts, squared_error: float) -> float | None:
    """None for fewer than two labels; if all are the same, 1 for no error and 0 for any."""
    if facts.n_labelled < 2 or math.isinf(facts.labels.m2):
        return None
    if not facts.labels.m2:
        return float(not squared_error)
    return 1 - squared_error * facts.n_labelled / facts.labels.m2


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return pd.to_numeric(pd.Series(values)).to_numpy(dtype=np.float64, na_value=np.nan)
