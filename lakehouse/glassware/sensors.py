"""How the real values of a piece are spread, and what a noisy reading of one tells about it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]

SENSORS = ("temp", "pressure", "duration")
SENSOR_NOISE = 0.2
"""Standard deviation of a reading around the real value, in the unit of the sensor."""

# Beyond five standard deviations lies less than a millionth of the readings.
_TAIL = 5.0


class Spread(Protocol):
    """The distribution of a real value over pieces."""

    def quantile(self, share: Floats) -> Floats:
        """The value below which `share` (0–1) of the pieces lie."""

    def share_below(self, value: ArrayLike) -> Floats:
        """The share of pieces (0–1) below `value`: the inverse of `quantile`."""

    def share_below_given(self, value: ArrayLike, reading: Floats) -> Floats:
        """P(real value < `value`), where the sensor reads `reading`."""

    def reading_density(self, reading: Floats) -> Floats:
        """The density of readings, noise included."""

    def reading_range(self) -> tuple[float, float]:
        """The bounds that all readings but about one in a million lie in."""


@dataclass(frozen=True)
class Uniform:
    """Real values that are spread evenly from `low` to `high`."""

    low: float
    high: float

    def quantile(self, share: Floats) -> Floats:
        """See `Spread`."""
        return self.low + (self.high - self.low) * share

    def share_below(self, value: ArrayLike) -> Floats:
        """See `Spread`."""
        return np.clip((np.asarray(value) - self.low) / (self.high - self.low), 0.0, 1.0)

    def share_below_given(self, value: ArrayLike, reading: Floats) -> Floats:
        """See `Spread`: a normal distribution around the reading, cut off at `low` and `high`."""
        below_low = ndtr((self.low - reading) / SENSOR_NOISE)
        possible = ndtr((self.high - reading) / SENSOR_NOISE) - below_low
        up_to = np.clip(value, self.low, self.high)
        below_value = ndtr((up_to - reading) / SENSOR_NOISE) - below_low
        return below_value / np.maximum(possible, np.finfo(float).tiny)

    def reading_density(self, reading: Floats) -> Floats:
        """See `Spread`."""
        from_low = ndtr((reading - self.low) / SENSOR_NOISE)
        from_high = ndtr((reading - self.high) / SENSOR_NOISE)
        return (from_low - from_high) / (self.high - self.low)

    def reading_range(self) -> tuple[float, float]:
        """See `Spread`."""
        return self.low - _TAIL * SENSOR_NOISE, self.high + _TAIL * SENSOR_NOISE


@dataclass(frozen=True)
class Normal:
    """Real values in a normal distribution."""

    mean: float
    deviation: float

    def quantile(self, share: Floats) -> Floats:
        """See `Spread`."""
        return self.mean + self.deviation * ndtri(share)

    def share_below(self, value: ArrayLike) -> Floats:
        """See `Spread`."""
        return ndtr((np.asarray(value) - self.mean) / self.deviation)

    def share_below_given(self, value: ArrayLike, reading: Floats) -> Floats:
        """See `Spread`: the conjugate posterior of a normal value under normal noise."""
        trust = self.deviation**2 / self._reading_variance
        expected = self.mean + trust * (reading - self.mean)
        return ndtr((np.asarray(value) - expected) / (SENSOR_NOISE * np.sqrt(trust)))

    def reading_density(self, reading: Floats) -> Floats:
        """See `Spread`."""
        squared = (reading - self.mean) ** 2 / self._reading_variance
        return np.exp(-squared / 2) / np.sqrt(2 * np.pi * self._reading_variance)

    def reading_range(self) -> tuple[float, float]:
        """See `Spread`."""
        reach = _TAIL * float(np.sqrt(self._reading_variance))
        return self.mean - reach, self.mean + reach

    @property
    def _reading_variance(self) -> float:
        return self.deviation**2 + SENSOR_NOISE**2
