"""The probability that a champion's prediction is wrong, learned from its training rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

BIN_EDGES = (0.003, 0.01, 0.03, 0.1, 0.25, 0.5)
"""Edges of the error bins; bin b holds edges[b - 1] <= expected error < edges[b]."""

N_BINS = len(BIN_EDGES) + 1
_KNOTS = 13
_INVERSE_PENALTY = 10.0
_DECIMALS = 4
"""Of a height, which is a logit: those of forty features are off by .002 together, at most, and a
version's record with forty features and ten classes stays below 64 kB."""


@dataclass(frozen=True)
class SplineLogistic:
    """An additive logistic model of each class: one piecewise line per feature.

    Attributes:
        knots: by feature, where its line bends, ascending.
        heights: by class and feature, the line's height at each knot; level beyond them.
        missing: by class and feature, the height where the value is missing.
        intercepts: by class.
    """

    knots: tuple[tuple[float, ...], ...]
    heights: tuple[tuple[tuple[float, ...], ...], ...]
    missing: tuple[tuple[float, ...], ...]
    intercepts: tuple[float, ...]

    def chances(self, features: np.ndarray) -> np.ndarray:
        """P(class | features): rows × classes.

        Args:
            features: rows × features, NaN where a value is missing.
        """
        logits = np.stack(
            [self._logit(features, place) for place in range(len(self.intercepts))], axis=1
        )
        chances = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
        return chances / np.maximum(chances.sum(axis=1, keepdims=True), np.finfo(float).tiny)

    def of_predictions(self, features: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The probability that each prediction (a class code) is wrong, by row."""
        return 1 - self.chances(features)[np.arange(len(predictions)), predictions]

    def bins_of_predictions(self, features: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The error bin of each prediction, 0 (surely right) to `N_BINS` - 1."""
        return np.searchsorted(BIN_EDGES, self.of_predictions(features, predictions), side="right")

    def to_json(self) -> dict[str, Any]:
        """For the version's record."""
        return {name: getattr(self, name) for name in ("knots", "heights", "missing", "intercepts")}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "SplineLogistic":
        """The inverse of `to_json`."""
        return cls(
            tuple(map(tuple, value["knots"])),
            tuple(tuple(map(tuple, lines)) for lines in value["heights"]),
            tuple(map(tuple, value["missing"])),
            tuple(value["intercepts"]),
        )

    def _logit(self, features: np.ndarray, place: int) -> np.ndarray:
        total = np.full(len(features), self.intercepts[place])
        for column, knots, heights, missing in zip(
            features.T, self.knots, self.heights[place], self.missing[place], strict=True
        ):
            line = np.interp(column, knots, heights)
            total += np.where(np.isnan(column), missing, line)
        return total


def bins_of(expected_error: SplineLogistic, features: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Kind × number of error bins + error bin, of each row's kind (0 for all numbers)."""
    return kinds * N_BINS + expected_error.bins_of_predictions(features, kinds)


def fit_spline_logistic(features: np.ndarray, labels: np.ndarray, n_classes: int) -> SplineLogistic:
    """Fit a ridge logistic regression per class on linear splines of each feature.

    A linear spline is a generalized additive model (Hastie and Tibshirani, 1990) whose fit is a few
    numbers: it can be kept as JSON and computed anywhere. With two classes the second one's line
    serves for both.

    Args:
        features: rows × features, NaN where a value is missing.
        labels: class code of each row.
        n_classes: how many classes there are; one that no row has gets a probability near zero.
    """
    knots = tuple(knots_of(column) for column in features.T)
    basis = np.hstack([hats(column, at) for column, at in zip(features.T, knots, strict=True)])
    fitted = [1] if n_classes == 2 else range(n_classes)
    lines = [_line(basis, labels == code, knots) for code in fitted]
    if n_classes == 2:
        lines.insert(0, _negated(lines[0]))
    heights, missing, intercepts = zip(*lines, strict=True)
    return SplineLogistic(knots, heights, missing, intercepts)


_Line = tuple[tuple[tuple[float, ...], ...], tuple[float, ...], float]


def knots_of(column: np.ndarray) -> tuple[float, ...]:
    """The 13 even quantiles of a feature's known values, without repeats: its line bends there."""
    finite = column[np.isfinite(column)]
    if not len(finite):
        return (0.0,)
    return tuple(float(knot) for knot in np.unique(np.quantile(finite, np.linspace(0, 1, _KNOTS))))


def hats(column: np.ndarray, knots: tuple[float, ...]) -> np.ndarray:
    """A linear spline's basis, rows × (knots + 1): a hat per knot, and "is missing"."""
    gone = np.isnan(column)
    hats = np.stack([np.interp(column, knots, row) for row in np.eye(len(knots))], axis=1)
    return np.column_stack([np.where(gone[:, None], 0.0, hats), gone])


def _line(basis: np.ndarray, is_class: np.ndarray, knots: tuple[tuple[float, ...], ...]) -> _Line:
    if is_class.all() or not is_class.any():
        sure = np.log(len(is_class) + 1.0) * (1 if is_class.all() else -1)
        return tuple((0.0,) * len(at) for at in knots), (0.0,) * len(knots), float(sure)
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=200, tol=1e-3).fit(basis, is_class)
    coefficients = np.round(model.coef_[0], _DECIMALS)
    parts = np.split(coefficients, np.cumsum([len(at) + 1 for at in knots])[:-1])
    heights = tuple(tuple(float(height) for height in part[:-1]) for part in parts)
    return (
        heights,
        tuple(float(part[-1]) for part in parts),
        round(float(model.intercept_[0]), _DECIMALS),
    )


def _negated(line: _Line) -> _Line:
    heights, missing, intercept = line
    return (
        tuple(tuple(-height for height in part) for part in heights),
        tuple(-level for level in missing),
        -intercept,
    )
