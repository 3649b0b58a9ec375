"""Does the chance of an event move with time, region by region, and where will it stand a little
later?
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from lakehouse.models.expected_error.spline_logistic import SplineLogistic, hats, knots_of

_FOLDS = 5
_INVERSE_PENALTY = 10.0
_LEAST_EVENTS = 5
_LEAST_CHANCE = 0.01


def trend_score(features: np.ndarray, events: np.ndarray, age: np.ndarray) -> float:
    """The score test of "the chance moves with time", against a chance that depends on the features
    alone.

    With p the chance by an additive logistic model of the features, cross-fitted in five folds, v =
    p (1 - p) and u the age less its v-weighted mean, z = -sum((event - p) u) / sqrt(sum((event -
    p)^2 u^2)). It is near N(0, 1) where nothing moves; events that become more give z > 0. Rows
    whose event is sure (v near 0) hardly count, so it looks where the features' region ends, and
    sees its border move.
    Source: Rao, Proceedings of the Cambridge Philosophical Society 44 (1948), with the empirical
    variance of the score
    (White, Econometrica 50, 1982).

    Args:
        features: rows × features, NaN where a value is missing.
        events: whether it came about, by row.
        age: how long ago, by row, in any unit.

    Returns:
        z; 0 where there are fewer than five events, or rows without.
    """
    if min(events.sum(), (~events).sum()) < _LEAST_EVENTS:
        return 0.0
    basis = _basis(features, tuple(knots_of(column) for column in features.T))
    fold = np.arange(len(events)) % _FOLDS
    chance = np.full(len(events), events.mean())
    with _one_thread():
        for out in range(_FOLDS):
            kept = fold != out
            if events[kept].any() and not events[kept].all():
                chance[~kept] = _fit(basis[kept], events[kept]).predict_proba(basis[~kept])[:, 1]
    chance = np.clip(chance, _LEAST_CHANCE, 1 - _LEAST_CHANCE)
    spread = chance * (1 - chance)
    terms = (events - chance) * ((spread * age).sum() / spread.sum() - age)
    scale = float(np.sqrt((terms**2).sum()))
    return float(terms.sum()) / scale if scale else 0.0


def fit_trend(
    features: np.ndarray, events: np.ndarray, age: np.ndarray, ahead: float
) -> SplineLogistic:
    """The chance of the event as it will be a little later, where each piece of its logit moves
    evenly with time.

    logit P(event | x, t) = f(x) + t g(x), f and g additive splines of the features, with a ridge
    penalty on both; given is the model at t = `ahead`. A moving border of a region is what f + t g
    has to first order.
    Source: varying-coefficient models (Hastie and Tibshirani, JRSS B 55, 1993).

    Args:
        features: rows × features, NaN where a value is missing.
        events: whether it came about, by row; both must occur.
        age: how long ago, by row; best in a unit of which the oldest has three, since the penalty
            knows no units.
        ahead: how much later than now, in the same unit.

    Returns:
        A model of two classes: code 1 is the event.
    """
    knots = tuple(knots_of(column) for column in features.T)
    basis, time = _basis(features, knots), -age[:, None]
    with _one_thread():
        model = _fit(np.hstack([basis, basis * time, time]), events)
    level, slope, drift = np.split(model.coef_[0], [basis.shape[1], 2 * basis.shape[1]])
    at = level + ahead * slope
    parts = np.split(at, np.cumsum([len(each) + 1 for each in knots])[:-1])
    heights = tuple(tuple(float(height) for height in part[:-1]) for part in parts)
    missing = tuple(float(part[-1]) for part in parts)
    intercept = float(model.intercept_[0] + ahead * drift[0])
    negated = tuple(tuple(-height for height in part) for part in heights)
    return SplineLogistic(
        knots,
        (negated, heights),
        (tuple(-each for each in missing), missing),
        (-intercept, intercept),
    )


def _basis(features: np.ndarray, knots: tuple[tuple[float, ...], ...]) -> np.ndarray:
    return np.hstack([hats(column, at) for column, at in zip(features.T, knots, strict=True)])


def _one_thread() -> threadpool_limits:
    """The matrices are small, and threads that wait for each other take a hundred times as long."""
    return threadpool_limits(1)


def _fit(basis: np.ndarray, events: np.ndarray) -> LogisticRegression:
    return LogisticRegression(C=_INVERSE_PENALTY, max_iter=300, tol=1e-3).fit(basis, events)
