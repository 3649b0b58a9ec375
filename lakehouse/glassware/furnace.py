"""A run of the glass works in which the furnace decides: scenario `furnace`.

A piece is good if its own values are, the pieces of the hour before it were hot enough, and the
furnace was maintained not long ago. A reading tells neither of the two: the rows before it do.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakehouse.glassware.pieces import DAY, START, Stream, in_utc
from lakehouse.glassware.scenarios import SCENARIOS, Scenario, scenario_named
from lakehouse.glassware.sensors import Floats
from lakehouse.instants import ARROW_MOMENT

FURNACE = "furnace"
LEAST_HOUR_MEAN = 353.9
"""Mean of the real temperatures of the hour before a piece, below which it is bad."""
LASTS = 3 * DAY
"""How long the furnace works well after a maintenance; then comes the next, within a day."""
SUMMARIES = {name: each.summary for name, each in SCENARIOS.items()} | {
    FURNACE: "quality also hangs on the temperature of the hour before, and on maintenance"
}
"""What each scenario that can be landed is."""
_HOUR = np.timedelta64(1, "h")
MAINTENANCE_SCHEMA = pa.schema([("job", pa.int64()), ("ended_at", ARROW_MOMENT)])


@dataclass(frozen=True)
class FurnaceStream(Stream):
    """See `Stream`; readings are those of the scenario `stable`."""

    scenario: str = FURNACE

    @property
    def course(self) -> Scenario:
        """See `Stream`."""
        return scenario_named("stable")

    def maintenance(self, first_job: int, last_job: int) -> pa.Table:
        """The jobs `first_job`–`last_job`: job (from 1), ended_at (UTC)."""
        jobs = range(first_job, last_job + 1)
        ended_at = [_ended_at(self.seed, job) for job in jobs]
        return pa.table([list(jobs), ended_at], schema=MAINTENANCE_SCHEMA)

    def last_maintenance_by(self, moment: datetime) -> int:
        """The last job that had ended by `moment` (naive: UTC); 0 for none."""
        job = max(0, 1 + (in_utc(moment) - START) // LASTS)
        while job and _ended_at(self.seed, job) > in_utc(moment):
            job -= 1
        return int(job)

    def _quality(self, first_id: int, values: Floats) -> NDArray[np.int32]:
        n_pieces = values.shape[1]
        own = super()._quality(first_id, values)
        if not n_pieces:
            return own
        first = max(1, first_id - math.ceil(3600 / self.period) - 1)
        uniforms = self._uniforms(first, first_id + n_pieces - 1)
        temps = self._real_values(first, uniforms)[0].tolist()
        times = self._process_times(first, uniforms)
        starts = np.searchsorted(times, times - _HOUR, side="right")
        is_right = [
            _is_hot(temps[starts[place] : place]) and self._is_maintained(times[place].item())
            for place in range(len(temps) - n_pieces, len(temps))
        ]
        return own * np.array(is_right, dtype=np.int32)

    def _is_maintained(self, moment: datetime) -> bool:
        """Whether the last maintenance has not worn off; before the first, it counts as new."""
        made = moment.replace(tzinfo=UTC)
        job = self.last_maintenance_by(made)
        return not job or made - _ended_at(self.seed, job) < LASTS


@cache
def _ended_at(seed: int, job: int) -> datetime:
    """A day at most after the maintenance before has worn off; the first within a day."""
    delays = np.random.Generator(np.random.Philox(key=seed)).random(job)
    return START + (job - 1) * LASTS + timedelta(seconds=round(86_400 * math.fsum(delays)))


def _is_hot(temps: list[float]) -> bool:
    # Rounded once: however the pieces are split, the mean is the same.
    return not temps or math.fsum(temps) / len(temps) >= LEAST_HOUR_MEAN


def stream_of(scenario: str, seed: int, pieces: int, period: float) -> Stream:
    """The run of a scenario.

    Raises:
        ConfigurationError: a setting is unknown or impossible.
    """
    kind = FurnaceStream if scenario == FURNACE else Stream
    return kind(scenario, seed, pieces, period)
