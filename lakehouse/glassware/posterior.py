"""The best possible grader: the exact probability of quality, and the accuracy it reaches."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from lakehouse.glassware.pieces import DEFAULT_PERIOD, DEFAULT_PIECES, FIRST_PID, START
from lakehouse.glassware.scenarios import Box, Regime, scenario_named
from lakehouse.glassware.sensors import SENSORS, Floats, Spread

_GRID_POINTS = 160
_CREEP_POINTS = 9


@dataclass(frozen=True)
class RegimeFacts:
    """One regime of a run, for a report.

    Attributes:
        name: of the regime.
        first_id: the first piece.
        starts: when that piece's period begins, in UTC; it is made up to one period later.
        box: the rule for a good piece; where the rule creeps, the one of the first piece.
        base_rate: the share of good pieces.
        noise_ceiling: accuracy of the best possible grader; a mean where the rule creeps.
    """

    name: str
    first_id: int
    starts: datetime
    box: Box
    base_rate: float
    noise_ceiling: float


def regimes(
    scenario: str, pieces: int = DEFAULT_PIECES, period: float = DEFAULT_PERIOD
) -> list[RegimeFacts]:
    """The regimes that a run of `pieces` pieces, one per `period` seconds, goes through.

    Raises:
        ConfigurationError: there is no such scenario.
    """
    return [
        RegimeFacts(
            name=regime.name,
            first_id=regime.first_id,
            starts=START + timedelta(seconds=regime.first_id * period),
            box=regime.box,
            base_rate=base_rate(regime),
            noise_ceiling=noise_ceiling(regime),
        )
        for regime in scenario_named(scenario).regimes
        if regime.first_id <= pieces
    ]


def posterior(regime: Regime, readings: pa.Table) -> Floats:
    """The probability of quality 1 for each reading, if its piece was made in `regime`.

    The best possible grader calls a piece good where this exceeds a half, and a grader that calls
    it good is right with this probability. Readings may come from another regime: so one sees what
    an outdated grader believes.
    """
    ids = readings["pid"].to_numpy() - FIRST_PID
    lower, upper = regime.limits(ids)
    observed = np.array([readings[sensor].to_numpy() for sensor in SENSORS])
    observed[0] -= regime.temp_offset
    sensors = zip(regime.spreads, lower, upper, observed, strict=True)
    inside = [_share_inside(*sensor) for sensor in sensors]
    good, bad = _weighted(regime, np.prod(inside, axis=0))
    return good / (good + bad)


def base_rate(regime: Regime) -> float:
    """The share of good pieces; where the rule creeps, its mean along the way."""
    if regime.good_share is not None:
        return regime.good_share
    return float(np.mean([np.prod(_widths(regime, temp_low)) for temp_low in _temp_lows(regime)]))


def noise_ceiling(regime: Regime) -> float:
    """Accuracy of the best possible grader, to 0.0005; a mean where the rule creeps."""
    ceilings = []
    every = regime.pressure_missing_every
    for temp_low in _temp_lows(regime):
        ceiling = _ceiling(regime, temp_low, pressure_is_read=True)
        if every:
            ceiling += (_ceiling(regime, temp_low, pressure_is_read=False) - ceiling) / every
        ceilings.append(ceiling)
    return float(np.mean(ceilings))


def _ceiling(regime: Regime, temp_low: float, pressure_is_read: bool) -> float:
    """The integral of max(P(reading, good), P(reading, bad)) over a grid of readings."""
    lower, upper = regime.box.limits
    lower[0] = temp_low
    inside, mass = np.ones(1), np.ones(1)
    for sensor, spread, low, high in zip(SENSORS, regime.spreads, lower, upper, strict=True):
        points, weights = _grid(spread)
        if sensor == "pressure" and not pressure_is_read:
            points, weights = np.array([np.nan]), np.ones(1)
        inside = np.multiply.outer(inside, _share_inside(spread, low, high, points)).ravel()
        mass = np.multiply.outer(mass, weights).ravel()
    return float(mass @ np.maximum(*_weighted(regime, inside)))


def _grid(spread: Spread) -> tuple[Floats, Floats]:
    """Readings at even steps, each with the probability of its step."""
    edges = np.linspace(*spread.reading_range(), _GRID_POINTS + 1)
    points = (edges[1:] + edges[:-1]) / 2
    weights = spread.reading_density(points)
    return points, weights / weights.sum()


def _share_inside(spread: Spread, low: ArrayLike, high: ArrayLike, readings: Floats) -> Floats:
    """The probability that a real value lies within the limits, given its reading."""
    given = spread.share_below_given(high, readings) - spread.share_below_given(low, readings)
    return np.where(np.isnan(readings), spread.share_below(high) - spread.share_below(low), given)


def _weighted(regime: Regime, inside: Floats) -> tuple[Floats, Floats]:
    """The weights of good and bad, where the box alone gives the probability `inside`."""
    if regime.good_share is None:
        return inside, 1 - inside
    box_share = np.prod(_widths(regime, regime.box.temp[0]))
    good = inside * regime.good_share / box_share
    bad = (1 - inside) * (1 - regime.good_share) / (1 - box_share)
    return good, bad


def _widths(regime: Regime, temp_low: float) -> Floats:
    low, high = regime.box_shares
    low[0] = regime.temp.share_below(temp_low)
    return high - low


def _temp_lows(regime: Regime) -> Floats:
    end = regime.creep.temp_low if regime.creep else regime.box.temp[0]
    return np.linspace(regime.box.temp[0], end, _CREEP_POINTS if regime.creep else 1)
