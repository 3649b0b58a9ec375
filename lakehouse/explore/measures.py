"""How much two columns have to do with each other, and where a share stands out; from counts."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy
from scipy.stats import chi2

SURE = 1e-6
"""A stretch is told of if it would hardly come about: p-value, times the stretches looked at."""
LARGE_SHARE = 0.1
"""Least difference of shares between a stretch and elsewhere that is told of."""
LARGE_PART = 0.01
"""Least part of a number's variance that a stretch must explain to be told of."""
_LEAST_ROWS = 20


def cramers_v(counts: np.ndarray) -> float:
    """Cramér's V of a table of counts, corrected for bias: 0 without, 1 with full association.

    Source: Bergsma, "A bias-correction for Cramér's V and Tschuprow's T" (2013).

        >>> cramers_v(np.array([[50, 0], [0, 50]])).__round__(2)
        1.0
    """
    table, n = _occupied(counts)
    rows, columns = table.shape
    if n < 2 or min(rows, columns) < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi = float(((table - expected) ** 2 / expected).sum()) / n
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    rows_left = rows - (rows - 1) ** 2 / (n - 1)
    columns_left = columns - (columns - 1) ** 2 / (n - 1)
    least = min(rows_left, columns_left) - 1
    return min(1.0, math.sqrt(phi / least)) if least > 0 else 0.0


def mutual_information(counts: np.ndarray) -> float:
    """Mutual information in nats, less its expected bias (Miller & Madow 1955); never below 0."""
    table, n = _occupied(counts)
    if n < 2:
        return 0.0
    rows, columns = table.shape
    bias = (rows - 1) * (columns - 1) / (2 * n)
    plain = entropy(table.sum(axis=1)) + entropy(table.sum(axis=0)) - entropy(table.ravel())
    return max(0.0, plain - bias)


def entropy(counts: np.ndarray) -> float:
    """The entropy of a column in nats, by its counts."""
    shares = counts / counts.sum()
    return float(-xlogy(shares, shares).sum())


def joint(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How often each pair of codes occurs."""
    down, across = int(a.max(initial=0)) + 1, int(b.max(initial=0)) + 1
    places = a.astype(np.int64) * across + b
    return np.bincount(places, minlength=down * across).reshape(down, across)


@dataclass(frozen=True)
class Stretch:
    """Neighbouring bins in which a share, or a mean, is another than elsewhere.

    Attributes:
        first: place of the first bin.
        last: place of the last one.
        inside: the share or mean in it.
        elsewhere: in all other bins.
        n_inside: rows in it.
        n_elsewhere: rows elsewhere.
        strength: twice the logarithm of the likelihood ratio; of a mean, the variance explained,
            times the rows.
    """

    first: int
    last: int
    inside: float
    elsewhere: float
    n_inside: int
    n_elsewhere: int
    strength: float


def stretch_of_share(n: np.ndarray, k: np.ndarray, longest: int | None = None) -> Stretch | None:
    """The stretch whose share differs most surely from elsewhere; None if none stands out.

    Of all stretches the one of the greatest likelihood ratio. It is told of if the ratio is beyond
    what chance gives (`SURE`, by chi-squared with one degree of freedom, times the stretches), and
    the shares differ by `LARGE_SHARE` or more.

    A hundred rows a bin; in the third and the fourth all are good:

        >>> stretch_of_share(np.full(6, 100), np.array([0, 0, 100, 100, 0, 0])) # doctest: +ELLIPSIS
        Stretch(first=2, last=3, inside=1.0, elsewhere=0.0, n_inside=200, n_elsewhere=400, ...)

    Args:
        n: rows of each bin.
        k: of these, rows of the class.
        longest: bins at most.
    """
    first, last, inside, outside = _stretches(n, longest)
    if not len(first):
        return None
    _, _, k_inside, k_outside = _stretches(k, longest)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 2 * (
            _likelihood(k_inside, inside)
            + _likelihood(k_outside, outside)
            - _likelihood(k.sum(), n.sum())
        )
        difference = np.abs(k_inside / inside - k_outside / outside)
    wanted = (inside >= _LEAST_ROWS) & (outside >= _LEAST_ROWS) & (difference >= LARGE_SHARE)
    if not wanted.any():
        return None
    # A stretch at an end says the same as its rest: the one of the greater share is told of.
    greater = k_inside * outside > k_outside * inside
    best = _best(np.where(wanted, ratio, -np.inf), greater)
    if chi2.sf(ratio[best], 1) * len(first) > SURE:
        return None
    ends = int(first[best]), int(last[best])
    sums = k_inside[best], inside[best], k_outside[best], outside[best]
    return _stretch(ends, sums, float(ratio[best]))


def stretch_that_moved(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], longest: int | None
) -> Stretch | None:
    """The stretch in which a share moved most surely from one span to another; None if none did.

    As `stretch_of_share`, but the same bins are compared in two spans: `inside` is the share after,
    `elsewhere` the share before.

    Args:
        before: rows of each bin, and of these, rows of the class, in the span before.
        after: the same in the span after.
        longest: bins at most.
    """
    first, last, n_before, _ = _stretches(before[0], longest, with_whole=True)
    (_, _, k_before, _), (_, _, n_after, _), (_, _, k_after, _) = (
        _stretches(each, longest, with_whole=True) for each in (before[1], *after)
    )
    wanted = (n_before >= _LEAST_ROWS) & (n_after >= _LEAST_ROWS)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 2 * (
            _likelihood(k_before, n_before)
            + _likelihood(k_after, n_after)
            - _likelihood(k_before + k_after, n_before + n_after)
        )
        wanted &= np.abs(k_after / n_after - k_before / n_before) >= LARGE_SHARE
    if not wanted.any():
        return None
    best = int(np.argmax(np.where(wanted, ratio, -np.inf)))
    if chi2.sf(ratio[best], 1) * len(first) > SURE:
        return None
    ends = int(first[best]), int(last[best])
    sums = k_after[best], n_after[best], k_before[best], n_before[best]
    return _stretch(ends, sums, float(ratio[best]))


def stretch_of_mean(
    n: np.ndarray, mean: np.ndarray, variance: float, longest: int | None = None
) -> Stretch | None:
    """The stretch that explains most of a number's variance; None if none stands out.

    It must explain `LARGE_PART`, and more than chance gives (`SURE`).

    Args:
        n: rows of each bin.
        mean: of each bin; anything where it has no rows.
        variance: of all rows.
        longest: bins at most.
    """
    first, last, inside, outside = _stretches(n, longest)
    total = np.where(n > 0, n * np.nan_to_num(mean), 0.0)
    _, _, sum_inside, sum_outside = _stretches(total, longest)
    wanted = (inside >= _LEAST_ROWS) & (outside >= _LEAST_ROWS)
    if not wanted.any() or not variance > 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sum_inside / inside - sum_outside / outside
        part = inside * outside / n.sum() ** 2 * gap**2 / variance
    best = int(np.argmax(np.where(wanted, part, -np.inf)))
    strength = float(part[best] * n.sum())
    if part[best] < LARGE_PART or chi2.sf(strength, 1) * len(first) > SURE:
        return None
    ends = int(first[best]), int(last[best])
    sums = sum_inside[best], inside[best], sum_outside[best], outside[best]
    return _stretch(ends, sums, strength)


def _stretch(
    ends: tuple[int, int], sums: tuple[float, float, float, float], strength: float
) -> Stretch:
    """A stretch, by its first and last bin, and by sums and rows inside and elsewhere."""
    inside, n_inside, elsewhere, n_elsewhere = sums
    means = float(inside / n_inside), float(elsewhere / n_elsewhere)
    return Stretch(*ends, *means, int(n_inside), int(n_elsewhere), strength)


def _best(values: np.ndarray, preferred: np.ndarray) -> int:
    """The place of the greatest value; of equal ones, of a preferred one."""
    equal = values >= values.max() - 1e-9 * abs(values.max())
    return int(np.argmax(np.where(equal & preferred, 2, equal)))


def _occupied(counts: np.ndarray) -> tuple[np.ndarray, int]:
    """A table without empty rows and columns, and its total."""
    table = np.asarray(counts, dtype=np.float64)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    return table, int(table.sum())


def _stretches(
    values: np.ndarray, longest: int | None, with_whole: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All stretches: first and last bin, sums inside and outside."""
    size = len(values)
    first, last = np.triu_indices(size)
    length = last - first + 1
    kept = ((length < size) | with_whole) & (length <= (longest or size))
    first, last = first[kept], last[kept]
    up_to = np.append(0, np.cumsum(values))
    inside = up_to[last + 1] - up_to[first]
    return first, last, inside, up_to[-1] - inside


def _likelihood(k: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Log-likelihood of k of n at the share k / n."""
    return xlogy(k, k / n) + xlogy(n - k, (n - k) / n)
