"""How far apart two distributions are: by counts in common bins or by quantile sketches."""

import math

import numpy as np
from scipy.special import rel_entr

from lakehouse.profiling.sketches import representatives

SHARE_FLOOR = 1e-4
"""The least share of a bin, so that one empty bin does not make PSI or KL infinite."""


def population_stability_index(current: np.ndarray, reference: np.ndarray) -> float:
    """Sum of (p - q) * ln(p / q) over the shares of common bins, SHARE_FLOOR at least.

    Source: Siddiqi, "Credit Risk Scorecards" (2006); below 0.1 no change, from 0.2 a significant
    one.
    """
    p = np.maximum(_shares(current), SHARE_FLOOR)
    q = np.maximum(_shares(reference), SHARE_FLOOR)
    return float((p - q) @ np.log(p / q))


def kl_divergence(current: np.ndarray, reference: np.ndarray) -> float:
    """The Kullback-Leibler divergence from the reference, in nats: the sum of p * ln(p / q).

    Shares are taken to be SHARE_FLOOR at least, as in the PSI, so that it is finite; then they are
    scaled to add up to 1 again, so that it is never negative. From 0 to ln(1 / SHARE_FLOOR) = 9.2.
    Source: Kullback & Leibler (1951).
    """
    p = np.maximum(_shares(current), SHARE_FLOOR)
    q = np.maximum(_shares(reference), SHARE_FLOOR)
    return max(float(rel_entr(p / p.sum(), q / q.sum()).sum()), 0.0)


def hellinger_distance(current: np.ndarray, reference: np.ndarray) -> float:
    """Root of half the sum of (sqrt(p) - sqrt(q))^2 over the shares: 0 same, 1 disjoint."""
    roots = np.sqrt(_shares(current)) - np.sqrt(_shares(reference))
    return math.sqrt(float(roots @ roots) / 2)


def js_distance(current: np.ndarray, reference: np.ndarray) -> float:
    """The root of the Jensen-Shannon divergence in nats, from 0 to sqrt(ln 2).

    As scipy.spatial.distance.jensenshannon by default.
    """
    p, q = _shares(current), _shares(reference)
    middle = (p + q) / 2
    divergence = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return math.sqrt(max(float(divergence), 0.0))


def tv_distance(current: np.ndarray, reference: np.ndarray) -> float:
    """Half the sum of |p - q|: the share of rows that would have to change."""
    return float(np.abs(_shares(current) - _shares(reference)).sum()) / 2


def l_infinity_distance(current: np.ndarray, reference: np.ndarray) -> float:
    """The largest |p - q| of any category."""
    return float(np.abs(_shares(current) - _shares(reference)).max())


def wasserstein_distance(current: bytes, reference: bytes) -> float:
    """The first Wasserstein distance between two quantile sketches, in the column's own unit.

    The area between the two CDFs. Summaries are closer than bins, which know nothing inside the
    outermost ones: exact where both are, beyond off by at most the rank error times the range, per
    side.
    """
    a, b = representatives(current), representatives(reference)
    values = np.concatenate([a, b])
    steps = np.concatenate([np.full(len(a), 1 / len(a)), np.full(len(b), -1 / len(b))])
    order = np.argsort(values, kind="stable")
    gaps = np.cumsum(steps[order])[:-1]
    return float(np.abs(gaps) @ np.diff(values[order]))


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum()
