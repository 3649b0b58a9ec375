"""Is a classifier right as often as it is sure to be? Additive counts by confidence."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import add
from typing import Any

import numpy as np

CALIBRATION_BINS = 15
"""Guo et al.'s number of bins."""

_INNER_EDGES = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS


@dataclass(frozen=True)
class Calibration:
    """How sure a classifier was, and how often rightly so, in equal bins of confidence.

    A row's confidence is its highest probability, and it is right where its label is that class
    (the first one of equals). This is about the probabilities: where another threshold than the
    highest one makes the prediction, a row can be right here and wrong in the confusion matrix. Bin
    i holds i / 15 < confidence <= (i + 1) / 15.

    Attributes:
        rows: Rows per bin.
        right: Right ones among them.
        confidence: Sum of their confidences.
    """

    rows: tuple[int, ...] = (0,) * CALIBRATION_BINS
    right: tuple[int, ...] = (0,) * CALIBRATION_BINS
    confidence: tuple[float, ...] = (0.0,) * CALIBRATION_BINS

    @classmethod
    def of(cls, probabilities: np.ndarray, is_class: np.ndarray) -> "Calibration":
        """The counts of rows, from class probabilities (rows × classes) and true classes."""
        top = probabilities.argmax(axis=1)[:, None]
        confidence = np.take_along_axis(probabilities, top, axis=1)[:, 0]
        right = np.take_along_axis(is_class, top, axis=1)[:, 0]
        bins = np.searchsorted(_INNER_EDGES, confidence, side="left")
        return cls(
            tuple(np.bincount(bins, minlength=CALIBRATION_BINS).tolist()),
            tuple(np.bincount(bins[right], minlength=CALIBRATION_BINS).tolist()),
            tuple(np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS).tolist()),
        )

    def merge(self, other: "Calibration") -> "Calibration":
        """The counts of both sets of rows together."""
        return Calibration(
            tuple(map(add, self.rows, other.rows)),
            tuple(map(add, self.right, other.right)),
            tuple(map(add, self.confidence, other.confidence)),
        )

    @property
    def error(self) -> float | None:
        """The expected calibration error: mean |share right - mean confidence| by bin.

        Source: Guo et al., "On calibration of modern neural networks" (2017), equation 3. Exact for
        these bins; None
        where there are no rows.
        """
        n = sum(self.rows)
        if n:
            return sum(abs(r - c) for r, c in zip(self.right, self.confidence, strict=True)) / n
        return None

    def to_rows(self) -> list[dict[str, Any]]:
        """The bins as plain values, for a Spark array of structs of the same field names."""
        bins = zip(self.rows, self.right, self.confidence, strict=True)
        return [
            {"rows": rows, "right": right, "confidence": confidence}
            for rows, right, confidence in bins
        ]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> "Calibration":
        """The counts that `to_rows` wrote."""
        bins = [(int(row["rows"]), int(row["right"]), float(row["confidence"])) for row in rows]
        return cls(*zip(*bins, strict=True))


NO_CALIBRATION = Calibration()


def merged_calibration(a: Calibration | None, b: Calibration | None) -> Calibration | None:
    """The counts of both; unknown where one of them is."""
    return None if a is None or b is None else a.merge(b)
