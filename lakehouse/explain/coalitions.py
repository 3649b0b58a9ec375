"""A row's features as the players of a game: those that take part have the row's values."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pandas as pd

from lakehouse.explain.shapley import Game

Predict: TypeAlias = Callable[[pd.DataFrame], np.ndarray]
"""Rows to one number each: a probability, or what is predicted."""
_LARGEST = 50_000
"""Rows that the model is asked about at once."""


def game_of(predict: Predict, row: pd.DataFrame, background: pd.DataFrame) -> Game:
    """The game whose value is the mean prediction over the background.

    In each background row the coalition's features are replaced by the row's values. So nobody's
    value is the background's mean prediction, and that of all is the row's own. Features are thus
    taken as independent of one another: the "interventional" value of Janzing et al., "Feature
    relevance quantification in explainable AI" (2020).

    Args:
        predict: the model.
        row: one row, with the columns that the model reads.
        background: at least one row, with the same columns in the same order and types.
    """
    at_once = max(1, _LARGEST // len(background))

    def values(coalitions: np.ndarray) -> np.ndarray:
        parts = [
            _means(predict, row, background, coalitions[start : start + at_once])
            for start in range(0, len(coalitions), at_once)
        ]
        return np.concatenate(parts)

    return values


def _means(
    predict: Predict, row: pd.DataFrame, background: pd.DataFrame, coalitions: np.ndarray
) -> np.ndarray:
    columns = {}
    for place, name in enumerate(background.columns):
        held = np.repeat(coalitions[:, place], len(background))
        others = np.tile(background[name].to_numpy(), len(coalitions))
        columns[name] = np.where(held, row[name].iloc[0], others)
    predicted = predict(pd.DataFrame(columns))
    return predicted.reshape(len(coalitions), len(background)).mean(axis=1)
