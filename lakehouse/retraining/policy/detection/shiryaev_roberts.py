"""Has an error rate risen, and since when? The Shiryaev-Roberts statistic over counts that add up,
hour by hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, logsumexp

EFFECTS = (0.03, 0.08, 0.2, 0.4)
"""Effects looked for: shares of rows whose label now says the opposite of what it said."""

_BOUND = 0.8
_PRIOR_WRONG, _PRIOR_RIGHT = 0.5, 4.5
_LEAST_RATE, MOST_RATE = 1e-4, 0.45


@dataclass(frozen=True)
class ChangeEvidence:
    """What counted errors tell of a change.

    Attributes:
        log_statistic: natural logarithm of the Shiryaev-Roberts statistic after the last count;
            -inf without rows.
        posterior: by hour, the probability that the change began with it, given that there was one
            in these hours.
    """

    log_statistic: float
    posterior: np.ndarray


def upper_rates(wrong: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Upper 80 % bounds of error rates: quantiles of Beta(wrong + .5, right + 4.5), kept below .45.

    The prior is worth five rows with a rate of .1: a bin that has seen little gets a loose bound.
    It covers rates below .1 in 80 % of samples or more, higher ones slightly less often (.78 for .2
    and 300 rows).
    """
    bound = betaincinv(wrong + _PRIOR_WRONG, judged - wrong + _PRIOR_RIGHT, _BOUND)
    return np.clip(bound, _LEAST_RATE, MOST_RATE)


def log_likelihood_ratios(
    wrong: np.ndarray, labelled: np.ndarray, expected: np.ndarray, effects: np.ndarray
) -> np.ndarray:
    """Log likelihood ratio of each effect to no change, nats: effects × counts.

    An effect e turns the label of a share e of the rows: an expected rate p becomes p + e (1 - 2
    p).

    Args:
        wrong: errors of each count.
        labelled: rows of each count.
        expected: error rate of each count under no change, below a half.
        effects: effects × counts, 0–1; zero where an effect does not concern a count. One alone
            gives a row of counts.
    """
    return log_ratios_of_rates(wrong, labelled, expected, expected + effects * (1 - 2 * expected))


def log_ratios_of_rates(
    wrong: np.ndarray, labelled: np.ndarray, expected: np.ndarray, risen: np.ndarray
) -> np.ndarray:
    """Log likelihood ratio of the risen error rates to the expected ones, nats, by count."""
    return wrong * np.log(risen / expected) + (labelled - wrong) * np.log(
        (1 - risen) / (1 - expected)
    )


def shiryaev_roberts(ratios: np.ndarray, rows: Sequence[int] | np.ndarray) -> ChangeEvidence:
    """Mean over the effects of the Shiryaev-Roberts statistic, M <- (M + rows) * likelihood ratio,
    hour by hour.

    Each row may be the first of the change, so an hour of n rows weighs n; that a change may begin
    within an hour is not looked for. Under no change, and with rates not above the expected ones, M
    minus the number of rows is a (super)martingale for each effect and so for the mean: by optional
    stopping the expected number of rows until M exceeds A is at least A. Over the last N rows
    alone, P(M > A) <= N / A at any one look (Markov). M is a sum over where the change may have
    begun, so its summands are the posterior under a uniform prior.
    Source: Shiryaev (1963); Roberts, Technometrics 8 (1966); Pollak, Annals of Statistics 13
    (1985).

    Five hours of 8 rows; from the third on half of them are wrong, 10 % expected. The change
    most probably began with the third hour, and the statistic is e^16.1:

        >>> wrong, rows = np.array([1, 1, 4, 5, 4]), np.full(5, 8)
        >>> ratios = log_likelihood_ratios(wrong, rows, np.full(5, 0.1), np.array([0.4]))
        >>> found = shiryaev_roberts(ratios[np.newaxis], rows)
        >>> round(found.log_statistic, 1), int(found.posterior.argmax())
        (16.1, 2)

    Args:
        ratios: log likelihood ratios, effects × hours, in order of time.
        rows: labelled rows of each hour.
    """
    if ratios.shape[1] == 0:
        return ChangeEvidence(-np.inf, np.empty(0))
    since = np.cumsum(ratios[:, ::-1], axis=1)[:, ::-1]
    with np.errstate(divide="ignore"):
        parts = np.log(np.asarray(rows, dtype=float)) + since - np.log(len(since))
    summands = logsumexp(parts, axis=0)
    total = float(logsumexp(summands))
    return ChangeEvidence(total, np.exp(summands - total))
