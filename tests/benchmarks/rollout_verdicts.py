"""How often does a rollout's test say what is not so, and after how many days what is?

Peers: a fixed one-sided test at 5 % that is looked at each day, as dashboards with a p-value invite
to; and comparing arms where pairs are at hand. Streams of 192 labelled rows a day for 60 days;
champion and challenger differ on 5 to 13 % of them. Needs no Spark.

    PYTHONPATH=. python tests/benchmarks/rollout_verdicts.py [STREAMS]

Figures of 2026-12-01, 2,000 streams (200 of the test of arms); whole table: docs/rollout.md.
Equal versions are called better / worse, as shares of the streams:
    pairs: the product's 0.016 / 0.019, McNemar looked at daily 0.232 / 0.247;
    halves: the product's 0.015 / 0.015, z-test looked at daily 0.297 / 0.270;
    canary: the product's 0.005 / 0.030, z-test looked at daily 0.269 / 0.341.
Three points better is found by pairs on day 4, by halves on day 16, in the median.
"""

import math
import sys
from collections.abc import Callable

import numpy as np
from scipy.stats import binom, binomtest, norm

from lakehouse.rollouts.sequential import Block, log_evidence_above, log_evidence_of_arms

DAYS, A_DAY, RATE = 60, 192, 0.05
CASES = {
    "equal": (0.025, 0.025),
    "+3 points": (0.06, 0.03),
    "+6 points": (0.08, 0.02),
    "-3 points": (0.03, 0.06),
    "-10 points": (0.015, 0.115),
}
"""Shares of rows that the challenger alone, and the champion alone, is right on."""
_BOTH_RIGHT = 0.87
CANARY = [0.05] * 2 + [0.25] * 2 + [0.5] * 56
HALF = [0.5] * 60
Looks = tuple[np.ndarray, np.ndarray]
"""For each stream and day, whether the test says better, and whether it says worse."""


def pairs_of(rng: np.random.Generator, won: float, lost: float, streams: int) -> np.ndarray:
    """Rows won and lost so far, by stream and day."""
    drawn = rng.multinomial(A_DAY, [won, lost, 1 - won - lost], (streams, DAYS))
    return drawn[..., :2].cumsum(axis=1)


def paired(rng: np.random.Generator, won: float, lost: float, streams: int) -> Looks:
    """The product's test of pairs."""
    pairs = pairs_of(rng, won, lost, streams)
    trials = pairs.sum(axis=2)
    better, worse = (log_evidence_above(pairs[..., side], trials, 0.5) for side in (0, 1))
    return better > -math.log(RATE), worse > -math.log(RATE)


def fixed(rng: np.random.Generator, won: float, lost: float, streams: int) -> Looks:
    """McNemar's exact test at 5 %, looked at each day."""
    pairs = pairs_of(rng, won, lost, streams)
    trials = pairs.sum(axis=2)
    better, worse = (binom.sf(pairs[..., side] - 1, trials, 0.5) for side in (0, 1))
    return better < RATE, worse < RATE


def arms_of(
    rng: np.random.Generator, won: float, lost: float, streams: int, shares: list[float]
) -> np.ndarray:
    """Rows and right ones of the champion's arm, then of the challenger's, by stream and day."""
    n_b = rng.binomial(A_DAY, shares, (streams, DAYS))
    right = rng.binomial(A_DAY - n_b, _BOTH_RIGHT + lost), rng.binomial(n_b, _BOTH_RIGHT + won)
    return np.stack([A_DAY - n_b, right[0], n_b, right[1]], axis=2)


def safe_arms(shares: list[float]) -> Callable[..., Looks]:
    """The product's test of arms."""

    def looks(rng: np.random.Generator, won: float, lost: float, streams: int) -> Looks:
        days = arms_of(rng, won, lost, streams, shares)
        blocks = [[Block(*map(int, day)) for day in stream] for stream in days]
        said = [
            np.array(
                [
                    [log_evidence_of_arms(own[: n + 1], is_better) for n in range(DAYS)]
                    for own in blocks
                ]
            )
            > -math.log(RATE)
            for is_better in (True, False)
        ]
        return said[0], said[1]

    return looks


def z_test(shares: list[float]) -> Callable[..., Looks]:
    """A pooled two-proportion z-test at 5 %, looked at each day."""

    def looks(rng: np.random.Generator, won: float, lost: float, streams: int) -> Looks:
        n_a, k_a, n_b, k_b = np.moveaxis(
            arms_of(rng, won, lost, streams, shares).cumsum(axis=1), 2, 0
        )
        pooled = (k_a + k_b) / (n_a + n_b)
        error = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(n_a, 1) + 1 / np.maximum(n_b, 1)))
        z = (k_b / np.maximum(n_b, 1) - k_a / np.maximum(n_a, 1)) / np.maximum(error, 1e-12)
        return norm.sf(z) < RATE, norm.sf(-z) < RATE

    return looks


METHODS: dict[str, tuple[Callable[..., Looks], int]] = {
    "paired e-process (the product's)": (paired, 1),
    "McNemar at 5 %, looked at daily": (fixed, 1),
    "50/50, safe two-proportion test (the product's)": (safe_arms(HALF), 10),
    "50/50, z-test at 5 %, looked at daily": (z_test(HALF), 1),
    "canary 5-25-50, safe two-proportion test (the product's)": (safe_arms(CANARY), 10),
    "canary 5-25-50, z-test at 5 %, looked at daily": (z_test(CANARY), 1),
}
"""Each with how many times fewer streams it gets: a test of arms goes block by block."""


def said(looks: np.ndarray) -> str:
    """The share of streams that ever say so with its 95 % interval, and the median day."""
    ever = looks.any(axis=1)
    interval = binomtest(int(ever.sum()), len(ever)).proportion_ci()
    words = f"{ever.mean():.3f} ({interval.low:.3f}-{interval.high:.3f})"
    if ever.mean() < 0.5:
        return words
    return f"{words} day {np.median(looks[ever].argmax(axis=1) + 1):.0f}"


def main(streams: int) -> None:
    """Print a table: a row a method and a case."""
    print("| method | case | says better | says worse |")
    print("|---|---|---|---|")
    for name, (method, fewer) in METHODS.items():
        for case, (won, lost) in CASES.items():
            looks = method(np.random.default_rng(1), won, lost, streams // fewer)
            print(f"| {name} | {case} | {said(looks[0])} | {said(looks[1])} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
