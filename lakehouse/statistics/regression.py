"""The additive facts of a regressor's errors, and the metrics that they give."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lakehouse.statistics.moments import NO_MOMENTS, Moments

SMALLEST_LABEL = float(np.finfo(np.float64).eps)
"""What a percentage error is divided by at least, as scikit-learn does: a label of zero then gives a huge one."""

METRICS = (
    "mean_squared_error",
    "root_mean_squared_error",
    "mean_average_error",
    "mean_absolute_percentage_error",
    "r2_score",
)


@dataclass(frozen=True)
class RegressionFacts:
    """What is known of a regressor's errors; facts of parts merge to the facts of the whole.

    Grain: any set of predicted rows. An error is prediction minus label, in the label's unit; rows without a finite
    label have none.

    Attributes:
        n_rows: Predicted rows.
        labels: Count, mean and squared deviations of the labels.
        sum_error: Sum of the errors: over the number of labels, it is the bias.
        sum_squared_error: Sum of their squares.
        sum_absolute_error: Sum of their absolute values.
        sum_absolute_percentage_error: Sum of |error| / max(|label|, SMALLEST_LABEL), a share and not in percent.
    """

    n_rows: int = 0
    labels: Moments = NO_MOMENTS
    sum_error: float = 0.0
    sum_squared_error: float = 0.0
    sum_absolute_error: float = 0.0
    sum_absolute_percentage_error: float = 0.0

    @classmethod
    def of(cls, predictions: Sequence[float], labels: Sequence[float | None]) -> "RegressionFacts":
        """The facts of predicted rows; a label that has not arrived is None or NaN.

        Raises:
            ValueError: Lengths differ, or the prediction of a labelled row is not finite.
        """
        predicted, actual = np.asarray(predictions, dtype=np.float64), np.asarray(labels, dtype=np.float64)
        if len(predicted) != len(actual):
            raise ValueError(
                f"There are {len(predicted)} predictions and {len(actual)} labels: pass one of each per row."
            )
        known = np.isfinite(actual)
        errors, actual = predicted[known] - actual[known], actual[known]
        if not np.isfinite(errors).all():
            raise ValueError("A prediction is not finite: pass only rows that were predicted.")
        return cls(
            n_rows=len(predicted),
            labels=Moments.of(actual),
            sum_error=float(errors.sum()),
            sum_squared_error=float(errors @ errors),
            sum_absolute_error=float(np.abs(errors).sum()),
            sum_absolute_percentage_error=float((np.abs(errors) / np.maximum(np.abs(actual), SMALLEST_LABEL)).sum()),
        )

    @property
    def n_labelled(self) -> int:
        """Rows with a label."""
        return self.labels.n

    def merge(self, other: "RegressionFacts") -> "RegressionFacts":
        """The facts of both sets of rows together."""
        return RegressionFacts(
            n_rows=self.n_rows + other.n_rows,
            labels=self.labels.merge(other.labels),
            sum_error=self.sum_error + other.sum_error,
            sum_squared_error=self.sum_squared_error + other.sum_squared_error,
            sum_absolute_error=self.sum_absolute_error + other.sum_absolute_error,
            sum_absolute_percentage_error=self.sum_absolute_percentage_error + other.sum_absolute_percentage_error,
        )

    def to_row(self) -> dict[str, Any]:
        """The facts as plain values, for a Spark struct of the same field names."""
        facts = {name: value for name, value in vars(self).items() if name != "labels"}
        return {
            **facts,
            "n_labelled": self.labels.n,
            "label_mean": self.labels.mean,
            "label_mean_rest": self.labels.mean_rest,
            "label_m2": self.labels.m2,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "RegressionFacts":
        """The facts that `to_row` wrote."""
        facts = dict(row)
        labels = Moments(*(facts.pop(name) for name in ("n_labelled", "label_mean", "label_mean_rest", "label_m2")))
        return cls(labels=labels, **facts)


def metrics_of(facts: RegressionFacts) -> dict[str, float | None]:
    """The columns of `profile_metrics` that judge a regressor, by name, as scikit-learn computes them.

    None where nothing is labelled. Errors are in the label's unit (the percentage error a share).
    """
    n = facts.n_labelled
    if not n:
        return dict.fromkeys(METRICS)
    return {
        "mean_squared_error": facts.sum_squared_error / n,
        "root_mean_squared_error": math.sqrt(facts.sum_squared_error / n),
        "mean_average_error": facts.sum_absolute_error / n,
        "mean_absolute_percentage_error": facts.sum_absolute_percentage_error / n,
        "r2_score": _r2(facts),
    }


def _r2(facts: RegressionFacts) -> float | None:
    """None for fewer than two labels; where all labels are the same, 1 for no error and 0 for any."""
    if facts.n_labelled < 2:
        return None
    if not facts.labels.m2:
        return float(not facts.sum_squared_error)
    return 1 - facts.sum_squared_error / facts.labels.m2
