"""A stream whose rule turns by a right angle every ten days, under the loop."""

import numpy as np

from lakehouse.retraining.policy.records import Rows
from lakehouse.settings import PolicySettings
from lakehouse.simulation.arrays import MemoryLedger
from lakehouse.simulation.families import FamilyStream
from lakehouse.simulation.loop import Simulation

TURNING_DAYS = 160
_A_DAY, _CONCEPT_DAYS = 32, 10
_START, _DAY = np.datetime64("2026-01-01", "us"), np.timedelta64(86_400_000_000, "us")


def turned() -> MemoryLedger:
    """The ledger of a run to the last night."""
    row = np.arange(TURNING_DAYS * _A_DAY)
    features = np.random.default_rng(1).normal(size=(len(row), 2))
    angle = np.pi / 2 * (row // (_A_DAY * _CONCEPT_DAYS))
    labels = (features[:, 0] * np.cos(angle) + features[:, 1] * np.sin(angle) > 0).astype(int)
    event_time = _START + row * (_DAY // _A_DAY)
    plant = FamilyStream(Rows(("x", "y"), features, labels, event_time, event_time + _DAY))
    return Simulation(plant, PolicySettings(), first_after=100, most_rows=400).run().ledger
