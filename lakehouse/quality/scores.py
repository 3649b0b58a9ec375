"""A class's predicted probabilities as two mergeable histograms, and the ROC AUC that they give."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import add
from typing import Any

import numpy as np
from scipy.special import logit

SCORE_BINS = 400
LOGIT_RANGE = 8.0
"""Probabilities are told apart from 1 / (1 + e^8), which is 0.0003, to its complement."""


@dataclass(frozen=True)
class ScoreHistogram:
    """Labelled rows by probability of one class, apart for rows of that class and others.

    Bins are SCORE_BINS equal parts of the log odds from -LOGIT_RANGE to LOGIT_RANGE, the outer ones
    open: classifiers crowd their probabilities near 0 and 1, where equal parts of [0, 1] would tie
    what they tell apart.
    """

    positives: tuple[int, ...] = (0,) * SCORE_BINS
    negatives: tuple[int, ...] = (0,) * SCORE_BINS

    @classmethod
    def of(cls, scores: np.ndarray, is_positive: np.ndarray) -> "ScoreHistogram":
        """The histograms of probabilities of a class, given which rows are of it."""
        bins = bins_of(scores)
        return cls(_counts(bins[is_positive]), _counts(bins[~is_positive]))

    def merge(self, other: "ScoreHistogram") -> "ScoreHistogram":
        """The histograms of both sets of rows together."""
        return ScoreHistogram(
            tuple(map(add, self.positives, other.positives)),
            tuple(map(add, self.negatives, other.negatives)),
        )

    def to_row(self) -> dict[str, list[int]]:
        """The histograms as plain values, for a Spark struct of the same field names."""
        return {"positives": list(self.positives), "negatives": list(self.negatives)}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "ScoreHistogram":
        """The histograms that `to_row` wrote."""
        return cls(tuple(map(int, row["positives"])), tuple(map(int, row["negatives"])))

    @property
    def pairs(self) -> int:
        """How many pairs there are of a row of the class and a row of another."""
        return sum(self.positives) * sum(self.negatives)

    @property
    def auc(self) -> float | None:
        """The area under the ROC curve, by trapezoids; ties in a bin count half.

        Within `auc_error` of the AUC of the raw probabilities; None where there is no pair.
        """
        if not self.pairs:
            return None
        positives, negatives = np.array(self.positives), np.array(self.negatives)
        below = np.cumsum(negatives) - negatives
        return float(positives @ (below + negatives / 2)) / self.pairs

    @property
    def auc_error(self) -> float | None:
        """The greatest error of the AUC: half the share of pairs that share a bin."""
        same_bin = sum(p * n for p, n in zip(self.positives, self.negatives, strict=True))
        return same_bin / 2 / self.pairs if self.pairs else None


def bins_of(scores: np.ndarray) -> np.ndarray:
    """The bin of each probability."""
    odds = np.clip(logit(scores), -LOGIT_RANGE, LOGIT_RANGE)
    return np.minimum(((odds / LOGIT_RANGE + 1) / 2 * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)


def macro_auc(histograms: Iterable[ScoreHistogram]) -> float | None:
    """The mean one-vs-rest AUC of the classes that have one; None where none has."""
    areas = [area for area in (histogram.auc for histogram in histograms) if area is not None]
    return sum(areas) / len(areas) if areas else None


def _counts(bins: np.ndarray) -> tuple[int, ...]:
    return tuple(np.bincount(bins, minlength=SCORE_BINS).tolist())
