"""Error rates hold however often one looks: by integrals, by exact expectations, by simulation."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import betaln
from scipy.stats import binom, binomtest

from lakehouse.rollouts.sequential import (
    Block,
    Pairs,
    always_valid_interval,
    log_evidence_above,
    log_evidence_better,
    log_evidence_of_arms,
    log_evidence_worse,
)

DAYS, A_DAY, STREAMS, RATE = 60, 192, 1_000, 0.05


@pytest.mark.parametrize(
    ("k", "n", "limit"), [(9, 10, 0.5), (3, 40, 0.1), (0, 5, 0.3), (7, 7, 0.8)]
)
def test_the_evidence_is_the_mixture_of_likelihood_ratios(k: int, n: int, limit: float) -> None:
    def ratio(share: float) -> float:
        return (share / limit) ** k * ((1 - share) / (1 - limit)) ** (n - k)

    mixture = quad(ratio, limit, 1)[0] / (1 - limit)
    assert log_evidence_above(k, n, limit) == pytest.approx(math.log(mixture), rel=1e-6)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5])
def test_the_evidence_is_one_or_less_on_average_under_any_share_up_to_the_limit(
    share: float,
) -> None:
    k = np.arange(31)
    mean = (binom.pmf(k, 30, share) * np.exp(log_evidence_above(k, 30, 0.5))).sum()
    assert mean <= 1 + 1e-9


def test_better_and_worse_are_the_same_test_of_exchanged_versions() -> None:
    pairs = Pairs(500, 30, 12)
    exchanged = Pairs(500, 12, 30)
    assert log_evidence_better(pairs) == log_evidence_worse(exchanged)
    assert log_evidence_better(pairs) > 2
    assert log_evidence_worse(pairs) < 0


def looks(rng: np.random.Generator, won: float, lost: float) -> tuple[np.ndarray, np.ndarray]:
    """Evidence for better and for worse after each day, for each stream."""
    draws = rng.multinomial(A_DAY, [won, lost, 1 - won - lost], (STREAMS, DAYS)).cumsum(axis=1)
    trials = draws[..., 0] + draws[..., 1]
    sides = (draws[..., 0], draws[..., 1])
    better, worse = (log_evidence_above(side, trials, 0.5) for side in sides)
    return better, worse


def share_that_ever(evidence: np.ndarray) -> float:
    return float((evidence.max(axis=1) > -math.log(RATE)).mean())


def test_an_equal_challenger_is_called_better_or_worse_no_more_often_than_stated() -> None:
    for evidence in looks(np.random.default_rng(1), 0.025, 0.025):
        wrong = round(share_that_ever(evidence) * STREAMS)
        interval = binomtest(wrong, STREAMS).proportion_ci(0.99)
        assert interval.high < RATE
        assert wrong > 0  # the streams are long enough for the rate to be tried


def test_a_fixed_test_that_is_looked_at_daily_is_wrong_five_times_as_often() -> None:
    draws = np.random.default_rng(1).multinomial(A_DAY, [0.025, 0.025, 0.95], (STREAMS, DAYS))
    cumulative = draws.cumsum(axis=1)
    won, trials = cumulative[..., 0], cumulative[..., :2].sum(axis=2)
    p_values = binom.sf(won - 1, trials, 0.5)
    assert (p_values.min(axis=1) < RATE).mean() > 0.2


def test_a_better_challenger_is_found_within_days() -> None:
    better, worse = looks(np.random.default_rng(2), 0.06, 0.03)
    assert share_that_ever(better) == 1.0
    assert np.median((better > -math.log(RATE)).argmax(axis=1) + 1) <= 6
    assert share_that_ever(worse) < 0.01


@pytest.mark.parametrize("sizes", [(10, 10), (19, 1), (5, 15)])
def test_a_block_of_arms_has_evidence_of_one_or_less_on_average(sizes: tuple[int, int]) -> None:
    """Exactly, over all outcomes of the second block, where the first suggests that b is better."""
    n_a, n_b = sizes
    first = Block(40, 20, 40, 30)
    k_a, k_b = np.arange(n_a + 1), np.arange(n_b + 1)
    ratio = np.array(
        [
            [
                math.exp(log_evidence_of_arms([first, Block(n_a, int(a), n_b, int(b))], True))
                for b in k_b
            ]
            for a in k_a
        ]
    )
    for rate_a, rate_b in [(0.5, 0.5), (0.7, 0.7), (0.9, 0.6), (0.62, 0.62), (0.99, 0.99)]:
        chance = np.outer(binom.pmf(k_a, n_a, rate_a), binom.pmf(k_b, n_b, rate_b))
        assert (chance * ratio).sum() <= 1 + 1e-9


def arms(rng: np.random.Generator, rates: tuple[float, float], shares: list[float]) -> list[Block]:
    blocks = []
    for share in shares:
        n_b = int(rng.binomial(A_DAY, share))
        right = rng.binomial(A_DAY - n_b, rates[0]), rng.binomial(n_b, rates[1])
        blocks.append(Block(A_DAY - n_b, int(right[0]), n_b, int(right[1])))
    return blocks


def ever(blocks: list[Block], is_better: bool) -> bool:
    """The evidence is a product over blocks: each look is a sum so far."""
    found = [log_evidence_of_arms(blocks[: n + 1], is_better) for n in range(4, len(blocks), 5)]
    return max(found) > -math.log(RATE)


def test_arms_that_are_equally_right_are_told_apart_no_more_often_than_stated() -> None:
    rng, canary = np.random.default_rng(3), [0.05] * 5 + [0.25] * 5 + [0.5] * 30
    streams = [arms(rng, (0.93, 0.93), canary) for _ in range(150)]
    for is_better in (True, False):
        wrong = sum(ever(blocks, is_better) for blocks in streams)
        assert binomtest(wrong, 150, RATE, "greater").pvalue > 0.01


def test_an_arm_that_is_less_right_is_found_while_the_share_grows() -> None:
    rng, canary = np.random.default_rng(4), [0.05] * 2 + [0.25] * 2 + [0.5] * 26
    streams = [arms(rng, (0.93, 0.83), canary) for _ in range(30)]
    assert all(ever(blocks, False) for blocks in streams)
    assert not any(ever(blocks, True) for blocks in streams)


def test_a_block_of_one_arm_alone_says_nothing() -> None:
    assert log_evidence_of_arms([Block(100, 50, 100, 90), Block(50, 10, 0, 0)], True) == 0.0


def test_an_always_valid_interval_holds_the_share_at_all_looks_at_once() -> None:
    """A share lies outside where the mixture over its likelihood is 20 or more."""
    rng, share = np.random.default_rng(5), 0.9
    right = rng.binomial(A_DAY, share, (STREAMS, 30)).cumsum(axis=1)
    trials = A_DAY * np.arange(1, 31)
    under = right * math.log(share) + (trials - right) * math.log1p(-share)
    outside = betaln(right + 1, trials - right + 1) - under >= -math.log(RATE)
    assert binomtest(int(outside.any(axis=1).sum()), STREAMS, RATE, "greater").pvalue > 0.01
    for stream in range(0, STREAMS, 100):
        low, high = always_valid_interval(int(right[stream, 9]), int(trials[9]), 0.95)
        assert (low <= share <= high) != outside[stream, 9]


def test_an_interval_of_no_rows_is_everything_and_one_of_right_rows_ends_at_one() -> None:
    assert always_valid_interval(0, 0, 0.95) == (0.0, 1.0)
    low, high = always_valid_interval(50, 50, 0.95)
    assert high == 1.0
    assert 0.85 < low < 0.95
