"""The named ways in which the simulated process runs: what changes, and from which piece on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lakehouse.errors import ConfigurationError
from lakehouse.glassware.sensors import Floats, Normal, Spread, Uniform

Ids = NDArray[np.int64]
Limits = tuple[float, float]

USUAL_TEMP = Uniform(350.0, 360.0)
PRESSURE = Normal(12.0, 2.0)
DURATION = Uniform(28.5, 32.5)


@dataclass(frozen=True)
class Box:
    """The real values that make a good piece; bounds included."""

    temp: Limits
    pressure: Limits
    duration: Limits

    @property
    def limits(self) -> Floats:
        """Lower and upper limits by sensor, of shape (2, 3)."""
        return np.array([self.temp, self.pressure, self.duration]).T


@dataclass(frozen=True)
class Creep:
    """A lower temperature limit that moves evenly, by piece, to `temp_low` at `last_id`."""

    temp_low: float
    last_id: int


@dataclass(frozen=True)
class Regime:
    """How the process runs from piece `first_id` until the next regime begins.

    Attributes:
        box: the rule for a good piece; where the rule creeps, the one of the first piece.
        creep: how the rule moves within the regime, if it does.
        temp: how the real temperatures are spread; the other two sensors' values never move.
        good_share: the share of good pieces, where it is not what `box` gives by itself; good
            pieces and bad ones each look as they did.
        temp_offset: how much too high the temperature sensor reads.
        pressure_missing_every: the pressure of every n-th piece is not read; 0 for none.
    """

    name: str
    first_id: int
    box: Box
    creep: Creep | None = None
    temp: Spread = USUAL_TEMP
    good_share: float | None = None
    temp_offset: float = 0.0
    pressure_missing_every: int = 0

    @property
    def spreads(self) -> tuple[Spread, Spread, Spread]:
        """How the real values are spread, by sensor."""
        return self.temp, PRESSURE, DURATION

    @property
    def box_shares(self) -> Floats:
        """Shares of pieces below the box's limits, shape (2, 3), by the box alone."""
        pairs = zip(self.spreads, self.box.limits.T, strict=True)
        return np.array([spread.share_below(limits) for spread, limits in pairs]).T

    def limits(self, ids: Ids) -> tuple[Floats, Floats]:
        """Lower and upper limits for these pieces, by sensor and piece, of shape (3, n)."""
        lower, upper = (
            np.repeat(limit[:, np.newaxis], len(ids), axis=1) for limit in self.box.limits
        )
        if self.creep:
            lower[0] = np.interp(
                ids, [self.first_id, self.creep.last_id], [self.box.temp[0], self.creep.temp_low]
            )
        return lower, upper

    def misses_pressure(self, ids: Ids) -> NDArray[np.bool_]:
        """Return which of these pieces have no pressure reading."""
        every = self.pressure_missing_every
        return ids % every == 0 if every else np.zeros(len(ids), dtype=bool)


@dataclass(frozen=True)
class Scenario:
    """A named course of regimes, in order of their first pieces; the first begins at piece 1."""

    name: str
    summary: str
    regimes: tuple[Regime, ...]

    def stretches(self, first_id: int, last_id: int) -> Iterator[tuple[Regime, int, int]]:
        """The regimes of the pieces `first_id`–`last_id`, each with its first and last piece."""
        ends = [regime.first_id - 1 for regime in self.regimes[1:]] + [last_id]
        for regime, end in zip(self.regimes, ends, strict=True):
            first, last = max(first_id, regime.first_id), min(last_id, end)
            if first <= last:
                yield regime, first, last


FIRST_DRIFT_ID = 3401
SECOND_DRIFT_ID = 6501

FIRST_BOX = Box(temp=(351.0, 359.0), pressure=(8.0, 15.0), duration=(28.0, 32.0))
SECOND_BOX = replace(FIRST_BOX, temp=(354.0, 359.0))
THIRD_BOX = replace(SECOND_BOX, pressure=(12.0, 15.0))

_BEGIN = Regime("regime 1", 1, FIRST_BOX)


def _after_the_first(name: str, summary: str, *later: Regime) -> Scenario:
    return Scenario(name, summary, (_BEGIN, *later))


_ALL = (
    _after_the_first(
        "demo",
        "the rule for a good piece changes twice, at pieces 3401 and 6501",
        Regime("regime 2", FIRST_DRIFT_ID, SECOND_BOX),
        Regime("regime 3", SECOND_DRIFT_ID, THIRD_BOX),
    ),
    _after_the_first("stable", "nothing ever changes"),
    _after_the_first(
        "gradual",
        "the lower temperature limit creeps from 351 at piece 3401 to 354 at piece 6500",
        Regime("creeping", FIRST_DRIFT_ID, FIRST_BOX, creep=Creep(354.0, SECOND_DRIFT_ID - 1)),
        Regime("regime 2", SECOND_DRIFT_ID, SECOND_BOX),
    ),
    _after_the_first(
        "recurring",
        "the rule changes at piece 3401, goes back at 5001, and changes again at 6501",
        Regime("regime 2", FIRST_DRIFT_ID, SECOND_BOX),
        Regime("regime 1 again", 5001, FIRST_BOX),
        Regime("regime 2 again", SECOND_DRIFT_ID, SECOND_BOX),
    ),
    _after_the_first(
        "covariate",
        "real temperatures rise by 2 at piece 3401; the rule stays",
        Regime("warmer", FIRST_DRIFT_ID, FIRST_BOX, temp=Uniform(352.0, 362.0)),
    ),
    _after_the_first(
        "label_shift",
        "good pieces become rarer (0.4) at piece 3401; good and bad ones each look as before",
        Regime("rarer good pieces", FIRST_DRIFT_ID, FIRST_BOX, good_share=0.4),
    ),
    _after_the_first(
        "sensor_fault",
        "from piece 3401 on temperature reads 3 too high and every 50th pressure is missing; the "
        "truth stays",
        Regime(
            "faulty sensors",
            FIRST_DRIFT_ID,
            FIRST_BOX,
            temp_offset=3.0,
            pressure_missing_every=50,
        ),
    ),
)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}


def scenario_named(name: str) -> Scenario:
    """The scenario of this name.

    Raises:
        ConfigurationError: there is none; the message lists those that there are.
    """
    if name not in SCENARIOS:
        raise ConfigurationError(
            f"scenario: {name!r} is not known; write one of {', '.join(SCENARIOS)}"
        )
    return SCENARIOS[name]
