"""A simulated stream as arrays: what the sensors read, what the labels say and when, and what the
best grader knows.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
import pyarrow as pa

from lakehouse.errors import ConfigurationError
from lakehouse.glassware.pieces import DAY, DEFAULT_PIECES, FIRST_PID, Stream
from lakehouse.glassware.posterior import posterior
from lakehouse.glassware.scenarios import FIRST_BOX, FIRST_DRIFT_ID, SCENARIOS, Regime, Scenario
from lakehouse.glassware.sensors import SENSORS
from lakehouse.retraining.policy.candidates.choice import Model
from lakehouse.retraining.policy.records import Rows

YEAR_OF_PIECES = 365 * 192
_SMALL_DRIFT = Scenario(
    "small_drift",
    "the lower temperature limit rises from 351 to 352 at piece 3401",
    (
        Regime("regime 1", 1, FIRST_BOX),
        Regime("slightly narrower", FIRST_DRIFT_ID, replace(FIRST_BOX, temp=(352.0, 359.0))),
    ),
)


class Plant(Protocol):
    """What a policy can be tried on: a stream as it was, simulated or recorded."""

    @property
    def rows(self) -> Rows:
        """A row per labelled piece, in order of event time; labels may come in another order."""

    def accuracy(self, model: Model, row: int) -> float:
        """The true accuracy of a model under the rule that held when a row was made; NaN where
        nobody knows it.
        """


@dataclass(frozen=True)
class Variant:
    """A way in which a stream may run, beyond the named scenarios.

    Attributes:
        course: the regimes.
        pieces: how many are made.
        flipped: share of labels that say the opposite, 0–1.
        late_days: days that each label comes later than the inspection's two.
    """

    course: Scenario
    pieces: int = DEFAULT_PIECES
    flipped: float = 0.0
    late_days: int = 0


VARIANTS = {name: Variant(scenario) for name, scenario in SCENARIOS.items()} | {
    "small_drift": Variant(_SMALL_DRIFT),
    "demo_flipped": Variant(SCENARIOS["demo"], flipped=0.05),
    "demo_late": Variant(SCENARIOS["demo"], late_days=5),
    "stable_year": Variant(SCENARIOS["stable"], pieces=YEAR_OF_PIECES),
}


@dataclass(frozen=True)
class VariantStream(Stream):
    """A stream whose regimes are the variant's, which need not have a name among the scenarios."""

    variant: Variant | None = None

    @property
    def course(self) -> Scenario:
        """See `Stream`."""
        return self.variant.course if self.variant else super().course


@dataclass(frozen=True)
class World:
    """A row per piece, in the order of time.

    Attributes:
        variant: what runs.
        seed: which of its possible runs.
        features: pieces × sensors, NaN where nothing was read.
        labels: class code as the label says it, flips included.
        event_time: event time, datetime64[us], UTC.
        label_time: when the label comes, datetime64[us], UTC.
        chance: the exact probability of code 1, given the reading (and the label's flips left out).
    """

    variant: Variant
    seed: int
    features: np.ndarray
    labels: np.ndarray
    event_time: np.ndarray
    label_time: np.ndarray
    chance: np.ndarray

    @property
    def starts(self) -> list[int]:
        """The row with which each regime begins."""
        return [
            regime.first_id - 1
            for regime in self.variant.course.regimes
            if regime.first_id <= len(self.labels)
        ]

    def regime(self, row: int) -> Regime:
        """The regime that a row was made in."""
        place = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.variant.course.regimes[place]

    @property
    def rows(self) -> Rows:
        """See `Plant`."""
        return Rows(SENSORS, self.features, self.labels, self.event_time, self.label_time)

    def accuracy(self, model: Model, row: int) -> float:
        """See `Plant`: on fresh readings of the row's regime."""
        features, chance = probe(self.regime(row), row + 1)
        return float(np.where(model.predict(features) == 1, chance, 1 - chance).mean())

    @property
    def nights(self) -> np.ndarray:
        """The moments at which label batches land, ascending."""
        return np.unique(self.label_time)


def readings_of(world: World) -> pa.Table:
    """The readings of a world as the glassware stream gives them."""
    return _stream(world.variant, world.seed).readings(1, world.variant.pieces)


def world_of(name: str, seed: int) -> World:
    """The run of a variant (see `VARIANTS`) with a seed.

    Raises:
        ConfigurationError: there is no such variant.
    """
    if name not in VARIANTS:
        raise ConfigurationError(
            f"scenario: {name!r} is not known; write one of {', '.join(VARIANTS)}"
        )
    variant = VARIANTS[name]
    stream = _stream(variant, seed)
    readings, inspected = stream.readings(1, variant.pieces), stream.labels(1, variant.pieces)
    labels = inspected["quality"].to_numpy().astype(np.int64)
    flips = np.random.default_rng((seed, 1)).random(len(labels)) < variant.flipped
    label_time = inspected["qualitycheck_time"].cast(pa.timestamp("us")).to_numpy()
    return World(
        variant,
        seed,
        _matrix(readings),
        np.where(flips, 1 - labels, labels),
        readings["process_time"].cast(pa.timestamp("us")).to_numpy(),
        label_time + variant.late_days * np.timedelta64(DAY),
        _chance(variant, readings),
    )


def probe(regime: Regime, at_id: int, size: int = 8000) -> tuple[np.ndarray, np.ndarray]:
    """Fresh readings of a regime as it is at piece `at_id`, with the exact probability of code 1:
    to measure a model.

    Returns:
        Readings (size × sensors) and probabilities (size).
    """
    return _probe(regime, at_id if regime.creep else regime.first_id, size)


@lru_cache(maxsize=64)
def _probe(regime: Regime, at_id: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    course = Scenario("probe", "one regime", (replace(regime, first_id=1, creep=None),))
    stream = VariantStream(seed=2**40 + 1, pieces=size, variant=Variant(course))
    readings = stream.readings(1, size)
    there = readings.set_column(0, "pid", pa.array(np.full(size, at_id + FIRST_PID)))
    return _matrix(readings), posterior(regime, there)


def _stream(variant: Variant, seed: int) -> VariantStream:
    return VariantStream(seed=seed, pieces=variant.pieces, variant=variant)


def _chance(variant: Variant, readings: pa.Table) -> np.ndarray:
    stretches = variant.course.stretches(1, variant.pieces)
    return np.concatenate(
        [posterior(regime, readings.slice(a - 1, b - a + 1)) for regime, a, b in stretches]
    )


def _matrix(readings: pa.Table) -> np.ndarray:
    return np.column_stack([readings[sensor].to_numpy().astype(float) for sensor in SENSORS])
