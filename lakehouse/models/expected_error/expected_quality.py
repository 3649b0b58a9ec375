"""How well a version expects to have predicted, before labels come; and do labels agree with it?

All of it assumes that the rule which labels follow is the one of the version's training. It sees
rows that are harder for the version than usual; it cannot see a changed rule.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import betainc, betaincinv, gammaincinv, ndtri

from lakehouse.models.expected_error.spline_logistic import BIN_EDGES, N_BINS

LEVEL = 0.9
"""Of the predictive intervals: so probably they hold what all labels of the rows will show."""

_TAILS = np.array([1 - LEVEL, 1 + LEVEL]) / 2

CHANCE = 0.01
"""A difference that chance alone makes more rarely than this, at one look, is beyond chance."""

METRICS = (
    "expected_accuracy",
    "expected_accuracy_low",
    "expected_accuracy_high",
    "expected_absolute_error",
    "expected_absolute_error_low",
    "expected_absolute_error_high",
)

_PRIOR_ROWS = 5.0
"""What the prior of a bin is worth, in judged rows."""

_WORTH = 0.5
"""Of a judged row, for how sure a rate is. The models of the folds err as often as the final one
only on average, and bins may have seen the labels: intervals from the bare counts are too narrow
(Bates, Hastie and Tibshirani, JASA 119, 2024). With a half they hold nearly what they say
(docs/statistics.md)."""

_EDGES = np.array([0.0, *BIN_EDGES, 1.0])
_TYPICAL_RATE = (_EDGES[:-1] + _EDGES[1:]) / 2
"""Expected error in the middle of each bin."""

_HALF_NORMAL_SCALE = -1 / ndtri(_TYPICAL_RATE / 2)
"""By bin, the deviation of normal errors that are above 1 in absolute value so often."""

_SQUARE_BY_MEAN = np.pi / 2
"""E[x²] / E[|x|]² of a normal x with mean zero."""

Counts = Mapping[int, tuple[int, int]]
"""By kind of prediction × number of error bins + error bin: labelled rows, wrong ones of them."""


class Moments(NamedTuple):
    """Mean and variance of a sum over rows; those of independent sums add up."""

    mean: float
    variance: float

    def plus(self, other: "Moments") -> "Moments":
        """Those of both sums together."""
        return Moments(self.mean + other.mean, self.variance + other.variance)


class Expected(NamedTuple):
    """A mean, and its predictive interval of `LEVEL`."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ErrorRates:
    """How often a version errs, by kind of prediction × number of error bins + error bin.

    Each bin's rate has a Beta posterior. The prior is worth five rows at the rate in the middle of
    the bin, so a bin that has seen few rows expects what its expected error says. For the spread, a
    judged row is worth half a row (`_WORTH`).

    Attributes:
        judged: rows that it was cross-fitted on.
        wrong: how many of them it got wrong.
    """

    judged: np.ndarray
    wrong: np.ndarray

    @classmethod
    def of_record(cls, text: str) -> "ErrorRates":
        """Those of a policy record, as JSON."""
        record = json.loads(text)
        return cls(*(np.array(record[name], dtype=float) for name in ("judged", "wrong")))

    def wrong_among(self, rows: np.ndarray) -> Moments:
        """Mean and variance of the number of wrong rows among so many of each bin.

        They are those of independent beta-binomial variables: the variance holds the chance of the
        rows and the uncertainty of the rates, which all rows of a bin share.
        """
        prior = _by_bin(_TYPICAL_RATE, len(self.judged))
        rate = (self.wrong + _PRIOR_ROWS * prior) / (self.judged + _PRIOR_ROWS)
        weight = _WORTH * self.judged + _PRIOR_ROWS
        variance = rows * rate * (1 - rate) * (weight + rows) / (weight + 1)
        return Moments(float(rows @ rate), float(variance.sum()))


@dataclass(frozen=True)
class AbsoluteErrors:
    """How far a version's numbers are off, by error bin; in the label's unit.

    The prior of a bin is worth five rows of normal errors. Their spread is that of the bin's
    expected error, times what makes the priors of all judged rows have the observed mean.

    Attributes:
        judged: rows that it was cross-fitted on; not none.
        total: sum of their absolute errors.
        squares: sum of their squared errors.
    """

    judged: np.ndarray
    total: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, places: np.ndarray, errors: np.ndarray, size: int) -> "AbsoluteErrors":
        """Those of rows, by the place of each among `size` bins."""
        distances = np.abs(errors)
        sums = (np.bincount(places, each, size) for each in (distances, distances**2))
        return cls(np.bincount(places, minlength=size).astype(float), *sums)

    def to_json(self) -> dict[str, list[float]]:
        """As it is kept with the version."""
        return {name: values.tolist() for name, values in vars(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "AbsoluteErrors":
        """The inverse of `to_json`."""
        names = ("judged", "total", "squares")
        return cls(*(np.array(value[name], dtype=float) for name in names))

    def among(self, rows: np.ndarray) -> Moments:
        """Mean and variance of the sum of absolute errors of so many rows of each bin."""
        shape = _by_bin(_HALF_NORMAL_SCALE, len(self.judged))
        prior = shape * float(self.total.sum()) / float(self.judged @ shape)
        weight = self.judged + _PRIOR_ROWS
        mean = (self.total + _PRIOR_ROWS * prior) / weight
        square = (self.squares + _PRIOR_ROWS * _SQUARE_BY_MEAN * prior**2) / weight
        sureness = _WORTH * self.judged + _PRIOR_ROWS
        variance = np.maximum(square - mean**2, 0.0) * rows * (1 + rows / sureness)
        return Moments(float(rows @ mean), float(variance.sum()))


@dataclass(frozen=True)
class ExpectedQuality:
    """What a version expects of its own predictions.

    Attributes:
        rates: how often it errs.
        absolute_errors: how far its numbers are off; None for a classifier, and for a version that
            an older release trained.
    """

    rates: ErrorRates
    absolute_errors: AbsoluteErrors | None = None


def expected_metrics(
    rows_by_bin: Mapping[tuple[str, int], int], n_rows: int, versions: Mapping[str, ExpectedQuality]
) -> dict[str, float | None]:
    """The columns of `profile_metrics` that need no label, by name.

    None where a row is in no bin (an older release counted it, or its version has no record), and
    where a version does not know how far its numbers are off.

    Args:
        rows_by_bin: predicted rows, labelled or not, by version and bin.
        n_rows: predicted rows.
        versions: what each version expects.
    """
    found: dict[str, float | None] = dict.fromkeys(METRICS)
    counted = sum(rows_by_bin.values())
    names = {version for version, _ in rows_by_bin}
    if not n_rows or counted != n_rows or not names <= versions.keys():
        return found
    wrong, absolute = Moments(0.0, 0.0), Moments(0.0, 0.0)
    for version in sorted(names, key=int):
        expects = versions[version]
        size = len(expects.rates.judged)
        own = {place: n for (name, place), n in rows_by_bin.items() if name == version}
        if max(own) >= size:  # a kind that the version did not know
            return found
        rows = np.array([own.get(place, 0) for place in range(size)], dtype=float)
        wrong = wrong.plus(expects.rates.wrong_among(rows))
        if expects.absolute_errors is not None:
            absolute = absolute.plus(expects.absolute_errors.among(rows))
    share = expected_share(wrong, n_rows)
    found |= _named("expected_accuracy", Expected(1 - share.mean, 1 - share.high, 1 - share.low))
    if all(versions[name].absolute_errors is not None for name in names):
        found |= _named("expected_absolute_error", expected_mean(absolute, n_rows))
    return found


def expected_share(wrong: Moments, n_rows: int) -> Expected:
    """The share of wrong rows, with the interval of the share that all labels will show.

    A Beta distribution has the sum's mean and variance, in shares; a count stands for all shares
    that round to it (continuity correction). So the bounds are shares of whole rows.
    """
    low, high = np.round(n_rows * betaincinv(*_share(wrong, n_rows), _TAILS)) / n_rows
    return Expected(wrong.mean / n_rows, float(low), float(high))


def expected_mean(total: Moments, n_rows: int) -> Expected:
    """The mean absolute error, with the interval of the mean that all labels will show.

    A Gamma distribution has the sum's mean and variance: it is positive, and skew as sums of few
    absolute errors are.
    """
    mean = total.mean / n_rows
    if total.variance <= 0:
        return Expected(mean, mean, mean)
    scale = total.variance / total.mean
    low, high = scale * gammaincinv(total.mean / scale, _TAILS) / n_rows
    return Expected(mean, float(low), float(high))


@dataclass(frozen=True)
class Difference:
    """Labels of a version's predictions, held against what it expected of the same rows.

    Attributes:
        labelled: rows whose label has come, none of them trained on.
        wrong: how many of them it got wrong.
        expected: the accuracy that it expected of them, with its interval.
        pvalue: how probable a difference so far in either direction is, if the rule is the one of
            the training.
    """

    labelled: int
    wrong: int
    expected: Expected
    pvalue: float

    @property
    def accuracy(self) -> float:
        """The share of the labelled rows that it got right."""
        return 1 - self.wrong / self.labelled

    @property
    def is_beyond_chance(self) -> bool:
        """Whether chance at one look hardly explains it."""
        return self.pvalue < CHANCE

    @property
    def words(self) -> str:
        """The difference in a sentence, as a decision may name it."""
        expected = self.expected
        between = f"{expected.mean:.1%} (90 %: {expected.low:.1%} to {expected.high:.1%})"
        found = f"{self.accuracy:.1%} of {self.labelled} labelled rows are right"
        if not self.is_beyond_chance:
            return f"{found}; the champion expects {between}, and chance explains the difference"
        side = "fewer" if self.accuracy < expected.mean else "more"
        return (
            f"{found}, {side} than the {between} that the champion expects of such rows: "
            "chance hardly explains it, a changed rule does"
        )


def difference(counts: Counts, rates: ErrorRates) -> Difference | None:
    """Hold labels against the expectation of the same rows; None where none has come.

    The expectation is of the labelled rows alone, bin by bin, so labels that come first for easy
    rows are no difference. Of one look; who looks each night finds differences by chance more
    often. 200 labelled rows of the easiest bin, where one in a hundred was wrong:

        >>> bins = np.zeros(N_BINS)
        >>> bins[0] = 1
        >>> rates = ErrorRates(1000 * bins, 10 * bins)
        >>> difference({0: (200, 3)}, rates).is_beyond_chance
        False
        >>> difference({0: (200, 12)}, rates).words.split(":")[0]
        '94.0% of 200 labelled rows are right, fewer than the 99.0% (90 %'

    Args:
        counts: of one version, of rows that it was not trained on.
        rates: the version's.
    """
    size = len(rates.judged)
    rows, wrong = (
        np.array([counts.get(place, (0, 0))[part] for place in range(size)], dtype=float)
        for part in (0, 1)
    )
    n, found = int(rows.sum()), int(wrong.sum())
    if not n:
        return None
    moments = rates.wrong_among(rows)
    share, parameters = expected_share(moments, n), _share(moments, n)
    at_most = betainc(*parameters, min((found + 0.5) / n, 1.0))
    at_least = 1 - betainc(*parameters, max((found - 0.5) / n, 0.0))
    expected = Expected(1 - share.mean, 1 - share.high, 1 - share.low)
    return Difference(n, found, expected, float(min(1.0, 2 * min(at_most, at_least))))


def _share(wrong: Moments, n_rows: int) -> tuple[float, float]:
    """Parameters of the Beta distribution with the mean and variance of the share of wrong rows.

    A single row has the variance of a coin, which no Beta distribution reaches: a millionth less.
    """
    mean, variance = wrong.mean / n_rows, wrong.variance / n_rows**2
    weight = mean * (1 - mean) / min(variance, mean * (1 - mean) * (1 - 1e-6)) - 1
    return mean * weight, (1 - mean) * weight


def _by_bin(values: np.ndarray, size: int) -> np.ndarray:
    """Values of the error bins, for each kind of prediction."""
    return np.tile(values, size // N_BINS)


def _named(name: str, expected: Expected) -> dict[str, float | None]:
    return {name: expected.mean, f"{name}_low": expected.low, f"{name}_high": expected.high}
