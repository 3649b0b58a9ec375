"""What a training tries and on which rows: candidate windows, trials, and the choice among their results."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lakehouse.estimators import CrossFit, Failed, Problem, TrainingSet, Trial, features_of, grid, problem_of
from lakehouse.settings import ModelSettings

EVERYTHING, SINCE_CHANGE, SLIDING = "everything", "since_change", "sliding"


def training_set(labelled: pd.DataFrame, model: ModelSettings, change_at: dt.datetime | None) -> TrainingSet:
    """The candidate windows over the labelled rows.

    Args:
        labelled: readings with their labels, in order of event time (UTC).
        model: names the columns.
        change_at: where the change began; None for a first model, which takes everything.
    """
    times = labelled[model.event_time]
    everything = np.ones(len(labelled), dtype=bool)
    windows = {EVERYTHING: everything}
    judged = everything
    if change_at is not None:
        judged = (times >= change_at).to_numpy()
        sliding = (times > times.max() - model.training.sliding).to_numpy()
        windows = {SINCE_CHANGE: judged, SLIDING: judged | sliding, EVERYTHING: everything}
    problem, features = problem_of(model), features_of(model)
    return TrainingSet(
        features=features,
        problem=problem,
        rows=features.frame(labelled),
        targets=problem.targets(labelled[model.labels.label]),
        windows=windows,
        judged=judged,
        folds=model.training.folds,
        seed=model.training.seed,
    )


def trials_of(data: TrainingSet, families: Mapping[Any, Mapping[str, Sequence[Any]]]) -> list[Trial]:
    """Every family's grid on every window; of windows with the same rows, the first alone."""
    seen: dict[bytes, str] = {}
    for name, mask in data.windows.items():
        seen.setdefault(mask.tobytes(), name)
    return grid(list(seen.values()), families)


def best(results: Sequence[CrossFit | Failed], problem: Problem) -> int | None:
    """The place of the result that the problem ranks first; of equals the first one.

    One with an output that is not a number comes after all others: it would be refused.

    Returns:
        None where every trial failed.
    """
    ranked = [
        (not result.is_finite, problem.rank(result.metrics), place)
        for place, result in enumerate(results)
        if isinstance(result, CrossFit)
    ]
    return min(ranked)[2] if ranked else None


def example_places(rows: pd.DataFrame, n_rows: int) -> np.ndarray:
    """Places of rows that show what each column may hold: the first ones, and for a column that shows no value among
    them, or no missing one, the first row that has it.

    A model's signature is inferred from them: of a column without a value it could say no type.
    """
    places = set(range(min(n_rows, len(rows))))
    for has_value in rows.notna().to_numpy().T:
        places |= {int(np.argmax(has_value == each)) for each in (True, False) if (has_value == each).any()}
    return np.array(sorted(places), dtype=np.int64)
