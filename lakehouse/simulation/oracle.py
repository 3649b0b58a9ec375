"""What nobody can beat by much: an oracle that knows the rule as of the newest label, and trains on
it daily.
"""

import numpy as np
import pyarrow as pa

from lakehouse.glassware.pieces import FIRST_PID
from lakehouse.glassware.posterior import posterior
from lakehouse.retraining.policy.candidates.choice import Learner
from lakehouse.simulation.learner import learner_for
from lakehouse.simulation.world import World, readings_of

_DAY = np.timedelta64(1, "D")
WEIGHTS = (1.0, 3.0)


def regret(world: World, predicted_in_production: np.ndarray) -> float:
    """Expected errors beyond the best possible grader's, from the day of the first drift on.

    Args:
        world: the stream.
        predicted_in_production: class code that each piece was predicted; -1 for none, which costs
            nothing.
    """
    if len(world.starts) < 2:
        return 0.0
    best = np.maximum(world.chance, 1 - world.chance)
    given = np.where(predicted_in_production == 1, world.chance, 1 - world.chance)
    losses = np.where(predicted_in_production >= 0, best - given, 0.0)
    return float(losses[world.event_time >= _first_day(world)].sum())


def oracle_regret(world: World) -> float:
    """The regret of the better of two oracles, which differ in the weight of the new regime's rows
    (1 and 3).

    Each night an oracle takes all rows of the regime of the newest labelled piece, and of the older
    rows those whose best prediction was then what it is now: it knows the rule, and where it
    changed, but no label before it is told.
    """
    if len(world.starts) < 2:
        return 0.0
    learner = learner_for(world.rows.problem)
    return min(_one(world, weight, learner) for weight in WEIGHTS)


def _one(world: World, weight: float, learner: Learner) -> float:
    predicted_in_production = np.full(len(world.labels), -1)
    readings = readings_of(world)
    first, last = _first_day(world), world.event_time[-1].astype("datetime64[D]")
    for night in np.arange(first, last + 1):
        known = int(np.searchsorted(world.label_time, night, side="right"))
        regime = world.regime(known - 1)
        there = readings.slice(0, known).set_column(
            0, "pid", pa.array(np.full(known, known + FIRST_PID))
        )
        kept = (posterior(regime, there) > 0.5) == (world.chance[:known] > 0.5)
        new = np.arange(known) >= regime.first_id - 1
        if regime.creep is None:
            kept |= new
        weights = np.where(new, weight, 1.0)[kept]
        model = learner(world.features[:known][kept], world.labels[:known][kept], weights)
        today = slice(*np.searchsorted(world.event_time, [night, night + _DAY]))
        predicted_in_production[today] = model.predict(world.features[today])
    return regret(world, predicted_in_production)


def _first_day(world: World) -> np.datetime64:
    return world.event_time[world.starts[1]].astype("datetime64[D]")
