"""The probability that a champion's prediction is wrong, learned from its training rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array
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
    basis = spline_basis(features, knots)
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


def spline_basis(features: np.ndarray, knots: tuple[tuple[float, ...], ...]) -> csr_array:
    """The basis of each feature's linear spline: a hat per knot, then "is missing".

    A value lies under two hats at most, so the rest of a row is not kept.

    Args:
        features: rows × features, NaN where a value is missing.
        knots: by feature.

    Returns:
        Rows × (knots + 1) of all features, side by side.
    """
    rows, count = features.shape
    heights, places = np.empty((rows, count, 2)), np.empty((rows, count, 2), dtype=np.int32)
    first = 0
    for place, (column, at) in enumerate(zip(features.T, knots, strict=True)):
        heights[:, place], places[:, place] = _hats(column, np.array(at))
        places[:, place] += first
        first += len(at) + 1
    begins = np.arange(rows + 1) * (2 * count)
    return csr_array((heights.ravel(), places.ravel(), begins), shape=(rows, first))


def _hats(column: np.ndarray, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is not 0 of a feature's basis at each value: two neighbours' heights, and their places.

    The heights are those of `np.interp`, to the bit.

    Returns:
        Both rows × 2.
    """
    gone, last = np.isnan(column), len(knots) - 1
    left = np.clip(np.searchsorted(knots, column, side="right") - 1, 0, max(last - 1, 0))
    right = np.minimum(left + 1, last)
    width = knots[right] - knots[left]
    slope = 1 / np.where(width > 0, width, 1.0)  # a single knot has no width: its hat is flat
    share = np.where(column >= knots[-1], 1.0, slope * (column - knots[left]))
    share = np.where((column <= knots[0]) | (last == 0), 0.0, share)
    share, left = np.where(gone, 1.0, share), np.where(gone, last, left)
    return np.stack([1 - share, share], axis=1), np.stack([left, left + 1], axis=1)


def _line(basis: csr_array, is_class: np.ndarray, knots: tuple[tuple[float, ...], ...]) -> _Line:
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
