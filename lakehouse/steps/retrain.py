"""What a training tries and on which rows: candidate windows, trials, and the choice among their results."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lakehouse.estimators import CrossFit, Features, TrainingSet, Trial, grid
from lakehouse.settings import ModelSettings

EVERYTHING, SINCE_CHANGE, SLIDING = "everything", "since_change", "sliding"


def features_of(model: ModelSettings) -> Features:
    """The model's features by kind, in the order of its settings."""
    kinds = {name: model.readings.columns[name].type for name in model.predictions.features}
    text = tuple(name for name, kind in kinds.items() if kind in ("string", "boolean"))
    return Features(tuple(name for name in kinds if name not in text), text)


def codes_of(labels: pd.Series, model: ModelSettings) -> np.ndarray:
    """The place of each label among the model's classes."""
    return pd.Categorical(labels, categories=list(model.classes)).codes.astype(np.int64)


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
    return TrainingSet(
        features=features_of(model),
        n_classes=len(model.classes),
        rows=labelled[list(model.predictions.features)],
        codes=codes_of(labelled[model.labels.label], model),
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


def best(results: Sequence[CrossFit | None]) -> int | None:
    """The most accurate result; of equals the one of the least log loss, then the first. None where there is none."""
    ranked = [(-result.accuracy, result.log_loss, place) for place, result in enumerate(results) if result]
    return min(ranked)[2] if ranked else None
