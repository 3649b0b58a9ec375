"""Tests that may be looked at after each batch: their error rates hold at any stopping time.

Each statistic is an e-process: under its null hypothesis it is a nonnegative supermartingale that
begins at one, so the probability that it ever exceeds 1/alpha is at most alpha (Ville, 1939). All
are given as natural logarithms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaincc, betaln, xlog1py, xlogy

_PRIOR = 0.18
"""Successes and failures that an arm's rate is estimated with besides those seen: the default of
Turner and Grünwald's `safestats`."""


@dataclass(frozen=True)
class Pairs:
    """Rows with a label that both versions have scored.

    Attributes:
        rows: how many.
        won: rows on which the challenger alone is right (of numbers: is nearer).
        lost: rows on which the champion alone is.
    """

    rows: int = 0
    won: int = 0
    lost: int = 0


@dataclass(frozen=True)
class Block:
    """Labelled rows that came together, by the arm that answered them."""

    champion_rows: int
    champion_right: int
    challenger_rows: int
    challenger_right: int


def log_evidence_above(successes: Any, trials: Any, limit: float) -> Any:
    """Evidence that a share exceeds a limit: a beta-binomial e-process.

    The likelihood of the trials under a share that is uniform on (limit, 1), divided by that under
    the limit: `B(k+1, n-k+1) (1 - I_limit(k+1, n-k+1)) / ((1-limit) limit^k (1-limit)^(n-k))`.
    A mixture of likelihood ratios is a supermartingale under each share up to the limit (Robbins,
    1970; Howard, Ramdas, McAuliffe and Sekhon, 2021).

    >>> round(float(log_evidence_above(9, 10, 0.5)), 3)
    2.918

    Args:
        successes: a number, or an array.
        trials: likewise.
        limit: in (0, 1).
    """
    k, n = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    with np.errstate(divide="ignore"):
        beyond = np.log(betaincc(k + 1, n - k + 1, limit))
    under_limit = k * math.log(limit) + (n - k) * math.log1p(-limit)
    return betaln(k + 1, n - k + 1) + beyond - math.log1p(-limit) - under_limit


def log_evidence_better(pairs: Pairs) -> float:
    """Evidence that the challenger wins more than half of the pairs that differ.

    It is valid where the label does not depend on which version answered.
    """
    return float(log_evidence_above(pairs.won, pairs.won + pairs.lost, 0.5))


def log_evidence_worse(pairs: Pairs) -> float:
    """Evidence that the champion wins more than half of them."""
    return float(log_evidence_above(pairs.lost, pairs.won + pairs.lost, 0.5))


def log_evidence_of_arms(blocks: Sequence[Block], challenger_is_better: bool) -> float:
    """Evidence that one arm's rate of right rows exceeds the other's: a safe test of two
    proportions.

    Of each block of n_a and n_b rows, the likelihood under rates that the blocks before it suggest,
    divided by that under their weighted mean (Turner, Ly and Grünwald, 2024, "Generic E-variables
    for exact sequential k-sample tests that allow for optional stopping"). The shares may change
    from block to block. A block with one arm alone, and rates that suggest the other direction,
    count as one.

    Args:
        blocks: in the order in which their labels came.
        challenger_is_better: the direction; else that the challenger is worse.
    """
    total, champion, challenger = 0.0, np.zeros(2), np.zeros(2)
    for block in blocks:
        rates = [(right + _PRIOR) / (n + 2 * _PRIOR) for n, right in (champion, challenger)]
        total += _log_ratio(block, rates[0], rates[1], challenger_is_better)
        champion += (block.champion_rows, block.champion_right)
        challenger += (block.challenger_rows, block.challenger_right)
    return total


def _log_ratio(block: Block, champion: float, challenger: float, is_better: bool) -> float:
    """Log likelihood of a block under two rates, less that under their weighted mean."""
    n_a, n_b = block.champion_rows, block.challenger_rows
    if not n_a or not n_b or (challenger > champion) != is_better:
        return 0.0
    pooled = (n_a * champion + n_b * challenger) / (n_a + n_b)
    arms = ((n_a, block.champion_right, champion), (n_b, block.challenger_right, challenger))
    return sum(_log_likelihood(n, k, p) - _log_likelihood(n, k, pooled) for n, k, p in arms)


def _log_likelihood(n: int, right: int, rate: float) -> float:
    return right * math.log(rate) + (n - right) * math.log1p(-rate)  # the prior keeps it in (0, 1)


def always_valid_interval(successes: int, trials: int, level: float) -> tuple[float, float]:
    """An interval that holds a share at all looks at once with probability of at least `level`.

    The shares against which the beta-binomial mixture, uniform on (0, 1), has no evidence of
    1/(1 - level) (Robbins, 1970).

    >>> tuple(round(each, 3) for each in always_valid_interval(95, 100, 0.95))
    (0.84, 0.993)

    Args:
        successes: how many.
        trials: of how many.
        level: such as 0.95.
    """
    if not trials:
        return 0.0, 1.0
    enough = -math.log1p(-level)

    def is_inside(share: float) -> bool:
        under = float(xlogy(successes, share) + xlog1py(trials - successes, -share))
        return float(betaln(successes + 1, trials - successes + 1)) - under < enough

    rate = successes / trials
    low = 0.0 if not successes else _border(is_inside, rate, 0.0)
    high = 1.0 if successes == trials else _border(is_inside, rate, 1.0)
    return low, high


def _border(is_inside: Any, inside: float, outside: float) -> float:
    """The border between a share inside and one outside, by bisection; the outer side of it."""
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_inside(middle) else (inside, middle)
    return outside
