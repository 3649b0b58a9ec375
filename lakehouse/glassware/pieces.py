"""Readings, late labels and their truth, as pure functions of (scenario, seed, id)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtri

from lakehouse.errors import ConfigurationError
from lakehouse.glassware.scenarios import Ids, Regime, Scenario, scenario_named
from lakehouse.glassware.sensors import SENSOR_NOISE, SENSORS, Floats
from lakehouse.instants import ARROW_MOMENT

START = datetime(2019, 7, 1, tzinfo=UTC)
FIRST_PID = 100_000
DEFAULT_PIECES = 7_999
DEFAULT_PERIOD = 450.0
"""Seconds from one piece to the next."""

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)
# Python's dates end with the year 9999.
_LONGEST_RUN_US = (datetime(9990, 1, 1, tzinfo=UTC) - START) // MICROSECOND

# A piece's random words: the jitter of its time, three real values, three sensor noises, and which
# kind of piece it is.
_WORDS = 8
_JITTER, _VALUES, _NOISE, _KIND = 0, slice(1, 4), slice(4, 7), 7
_WORDS_PER_PHILOX_COUNT = 4

READING_SCHEMA = pa.schema(
    [("pid", pa.int64()), ("process_time", ARROW_MOMENT), *((s, pa.float64()) for s in SENSORS)]
)
LABEL_SCHEMA = pa.schema(
    [("pid", pa.int64()), ("qualitycheck_time", ARROW_MOMENT), ("quality", pa.int32())]
)
_VALUE_FIELDS = [(sensor, pa.float64()) for sensor in SENSORS]
TRUTH_SCHEMA = pa.schema(
    [("pid", pa.int64()), ("regime", pa.string()), *_VALUE_FIELDS, ("quality", pa.int32())]
)


@dataclass(frozen=True)
class Stream:
    """One simulated run of the glass works: a piece per `period`, numbered from 1 to `pieces`.

    Every value is a function of (scenario, seed, id) alone, so any split of the ids, in any order
    and on any machine, gives the same rows. Scenarios share their randomness: pieces that a
    scenario does not touch are the same in all.

    Attributes:
        scenario: one of `SCENARIOS`.
        seed: which of the possible runs; 0 or more.
        pieces: how many pieces are made.
        period: seconds from one piece to the next, at least a microsecond; jitter scales with it,
            regimes go by id.

    Raises:
        ConfigurationError: a setting is unknown or impossible.
    """

    scenario: str = "demo"
    seed: int = 0
    pieces: int = DEFAULT_PIECES
    period: float = DEFAULT_PERIOD

    def __post_init__(self) -> None:
        _ = self.course  # it is there
        if not 0 <= self.seed < 2**63:
            raise ConfigurationError(
                f"seed: {self.seed} is impossible; write a whole number from 0 to 2^63 - 1"
            )
        if self.pieces < 1:
            raise ConfigurationError(
                f"pieces: {self.pieces} is impossible; write a whole number from 1 on"
            )
        if not 1e-6 <= self.period < float("inf"):
            raise ConfigurationError(
                f"period: {self.period} is impossible; write seconds, at least 0.000001"
            )
        if (self.pieces + 1) * self._period_us > _LONGEST_RUN_US:
            raise ConfigurationError(
                f"pieces: {self.pieces} at {self.period} s each last beyond the year 9990; write "
                "fewer"
            )

    @property
    def course(self) -> Scenario:
        """The regimes that this run goes through."""
        return scenario_named(self.scenario)

    @property
    def end(self) -> datetime:
        """The moment of the last label, which is the last thing that happens."""
        return self.label_time(self.pieces)

    def readings(self, first_id: int, last_id: int) -> pa.Table:
        """The readings of pieces `first_id`–`last_id`, a row per piece in order of time.

        Columns: pid, process_time (UTC, microseconds), temp, pressure, duration; null where a
        sensor gave nothing.
        """
        uniforms = self._uniforms(first_id, last_id)
        readings = self._real_values(first_id, uniforms) + SENSOR_NOISE * ndtri(uniforms[_NOISE])
        no_pressure = np.zeros(readings.shape[1], dtype=bool)
        for regime, ids in self._stretches(first_id, last_id):
            readings[0, ids - first_id] += regime.temp_offset
            no_pressure[ids - first_id] = regime.misses_pressure(ids)
        temp, pressure, duration = readings
        times = self._process_times(first_id, uniforms)
        read_pressure = pa.array(pressure, mask=no_pressure)
        columns = [_pids(first_id, last_id), times, temp, read_pressure, duration]
        return pa.table(columns, schema=READING_SCHEMA)

    def labels(self, first_id: int, last_id: int) -> pa.Table:
        """The inspections of pieces `first_id`–`last_id`, a row per piece in their order.

        Columns: pid, qualitycheck_time (midnight UTC two days after the piece's day), quality (1
        good, 0 bad).
        """
        uniforms = self._uniforms(first_id, last_id)
        days = self._process_times(first_id, uniforms).astype("datetime64[D]")
        times = (days + np.timedelta64(2, "D")).astype("datetime64[us]")
        quality = self._quality(first_id, self._real_values(first_id, uniforms))
        return pa.table([_pids(first_id, last_id), times, quality], schema=LABEL_SCHEMA)

    def truth(self, first_id: int, last_id: int) -> pa.Table:
        """Regime, noise-free values and quality of pieces `first_id`–`last_id`."""
        values = self._real_values(first_id, self._uniforms(first_id, last_id))
        names = np.empty(values.shape[1], dtype=object)
        for regime, ids in self._stretches(first_id, last_id):
            names[ids - first_id] = regime.name
        columns = [_pids(first_id, last_id), names, *values, self._quality(first_id, values)]
        return pa.table(columns, schema=TRUTH_SCHEMA)

    def reading_time(self, piece_id: int) -> datetime:
        """Return when the piece is made and read, in UTC."""
        times = self._process_times(piece_id, self._uniforms(piece_id, piece_id))
        moment: datetime = times[0].item()
        return moment.replace(tzinfo=UTC)

    def label_time(self, piece_id: int) -> datetime:
        """Return when the piece's inspection is known, in UTC: midnight two days after its day."""
        return midnight_of(self.reading_time(piece_id)) + 2 * DAY

    def last_reading_by(self, moment: datetime) -> int:
        """The id of the last piece made by `moment` (naive: UTC); 0 for none."""
        newest = (in_utc(moment) - START) // (self._period_us * MICROSECOND)
        if newest > self.pieces:
            return self.pieces
        if newest < 1:
            return 0
        # A piece is at most one period late, so the one before has been made by now in any case.
        return newest if self.reading_time(newest) <= in_utc(moment) else newest - 1

    def last_label_by(self, moment: datetime) -> int:
        """The id of the last piece whose label is known by `moment` (naive: UTC); 0 for none."""
        return self.last_reading_by(midnight_of(in_utc(moment)) - DAY - MICROSECOND)

    @property
    def _period_us(self) -> int:
        return round(self.period * 1e6)

    def _uniforms(self, first_id: int, last_id: int) -> Floats:
        """The random words of these pieces as numbers in (0, 1), of shape (8, n)."""
        if first_id < 1 or last_id > self.pieces:
            raise ValueError(f"pieces {first_id}-{last_id} are not within 1-{self.pieces}")
        # Jump to the first piece's words: any split of the ids gives the same rows.
        count = first_id * _WORDS // _WORDS_PER_PHILOX_COUNT
        philox = np.random.Philox(key=self.seed).advance(count)
        words = philox.random_raw(max(last_id - first_id + 1, 0) * _WORDS).reshape(-1, _WORDS).T
        # 52 bits and a half fit a double exactly; with 53 the largest would round up to 1, whose
        # normal is infinite.
        return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52

    def _process_times(self, first_id: int, uniforms: Floats) -> NDArray[np.datetime64]:
        jitter = np.floor(uniforms[_JITTER] * self._period_us).astype(np.int64)
        microseconds = np.arange(first_id, first_id + len(jitter)) * self._period_us + jitter
        start = np.datetime64(START.replace(tzinfo=None), "us")
        return start + microseconds.astype("timedelta64[us]")

    def _real_values(self, first_id: int, uniforms: Floats) -> Floats:
        """The noise-free values by sensor and piece, of shape (3, n)."""
        values = np.empty((len(SENSORS), uniforms.shape[1]))
        for regime, ids in self._stretches(first_id, first_id + uniforms.shape[1] - 1):
            of_regime = uniforms[:, ids - first_id]
            shares = of_regime[_VALUES]
            if regime.good_share is not None:
                shares = shares_of_mixture(regime, regime.good_share, shares, of_regime[_KIND])
            values[:, ids - first_id] = [
                s.quantile(q) for s, q in zip(regime.spreads, shares, strict=True)
            ]
        return values

    def _quality(self, first_id: int, values: Floats) -> NDArray[np.int32]:
        quality = np.empty(values.shape[1], dtype=np.int32)
        for regime, ids in self._stretches(first_id, first_id + values.shape[1] - 1):
            lower, upper = regime.limits(ids)
            of_regime = values[:, ids - first_id]
            quality[ids - first_id] = ((lower <= of_regime) & (of_regime <= upper)).all(axis=0)
        return quality

    def _stretches(self, first_id: int, last_id: int) -> list[tuple[Regime, Ids]]:
        stretches = self.course.stretches(first_id, last_id)
        return [(regime, np.arange(first, last + 1)) for regime, first, last in stretches]


def shares_of_mixture(regime: Regime, good_share: float, shares: Floats, kind: Floats) -> Floats:
    """Move evenly spread `shares` so that `good_share` of the pieces are good.

    How either kind looks stays. Works on shares (quantiles), where the box is a box and every piece
    is equally likely: a good piece is put inside, and a bad one is bad by its temperature first, or
    by its pressure first, or by its duration alone, as often as bad pieces were before. This is
    exact, and takes no rejected draws.

    Args:
        regime: gives the box.
        good_share: the wanted share of good pieces, 0–1.
        shares: by sensor and piece, of shape (3, n), each 0–1.
        kind: by piece, 0–1; decides between good and the three ways to be bad.
    """
    low, high = regime.box_shares[:, :, np.newaxis]
    width = high - low
    inside = low + width * shares
    outside = (1 - width) * shares
    outside += np.where(outside < low, 0.0, width)

    ways_to_be_bad = (1 - width[:, 0]) * np.array([1.0, width[0, 0], width[0, 0] * width[1, 0]])
    of_the_bad = np.cumsum(ways_to_be_bad) / ways_to_be_bad.sum()
    bounds = good_share + (1 - good_share) * np.array([0.0, *of_the_bad[:-1]])
    good = len(SENSORS)
    first_bad_sensor = np.array([good, 0, 1, 2])[np.searchsorted(bounds, kind, side="right")]
    sensor = np.arange(len(SENSORS))[:, np.newaxis]
    return np.select(
        [sensor < first_bad_sensor, sensor == first_bad_sensor], [inside, outside], default=shares
    )


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC; one that names no zone is taken to be in UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def midnight_of(moment: datetime) -> datetime:
    """The midnight at which the moment's day begins, in the moment's zone."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _pids(first_id: int, last_id: int) -> Ids:
    return np.arange(first_id, last_id + 1) + FIRST_PID
