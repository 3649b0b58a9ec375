"""The border of a call: how far one feature would have to move, the others as they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

Changed: TypeAlias = Callable[[pd.DataFrame], np.ndarray]
"""Rows to whether each one's call differs from that of the row that is explained."""
_QUANTILES = 201
_PARTS, _ROUNDS = 32, 9  # a step of the grid is cut in 32**8, which is 2**40


@dataclass(frozen=True)
class Border:
    """The nearest value of a feature with another call.

    Attributes:
        feature: its name.
        value: in the feature's unit, or a text.
        between: share of background rows that lie between the row's value and this one, 0 to 1;
            for text, of the rows that have another text than the one named.
    """

    feature: str
    value: float | str
    between: float


def borders_of(
    changed: Changed, row: pd.DataFrame, background: pd.DataFrame
) -> dict[str, Border | None]:
    """For each feature its border; None where no value within the background changes the call.

    Args:
        changed: what the model says of rows.
        row: one row, with the columns that the model reads.
        background: rows whose values are tried.
    """
    return {name: _border(changed, row, background[name]) for name in background.columns}


def nearest(borders: dict[str, Border | None]) -> Border | None:
    """The border with the fewest background rows before it; of equals, the first."""
    found = [border for border in borders.values() if border is not None]
    return min(found, key=lambda border: border.between, default=None)


def _border(changed: Changed, row: pd.DataFrame, column: pd.Series) -> Border | None:
    if column.dtype == object:
        return _of_text(changed, row, column)
    own, known = float(row[column.name].iloc[0]), column.dropna().to_numpy()
    if np.isnan(own) or not len(known):
        return None
    grid = np.unique(np.quantile(known, np.linspace(0, 1, _QUANTILES)))
    sides = (grid[grid > own], grid[grid < own][::-1])
    values = [_crossed(changed, row, str(column.name), np.r_[own, side]) for side in sides]
    found = [value for value in values if value is not None]
    if not found:
        return None
    borders = [Border(str(column.name), value, _between(known, own, value)) for value in found]
    return min(borders, key=lambda border: abs(float(border.value) - own))


def _crossed(changed: Changed, row: pd.DataFrame, name: str, way: np.ndarray) -> float | None:
    """Return the first value on a way from the row's own at which the call has changed.

    The way is the grid; then the step that crosses is cut in equal parts, again and again:
    bisection, 32 parts at a time. Another call that is narrower than a step may be passed over.
    """
    for _ in range(_ROUNDS):
        is_other = changed(_with(row, name, way))
        if not is_other.any():  # can be so of the grid only
            return None
        first = int(is_other.argmax())
        way = np.linspace(way[first - 1], way[first], _PARTS + 1)
    return float(way[-1])


def _between(known: np.ndarray, own: float, value: float) -> float:
    low, high = sorted((own, value))
    return float(((known > low) & (known < high)).mean())


def _of_text(changed: Changed, row: pd.DataFrame, column: pd.Series) -> Border | None:
    """The most frequent text of the background that changes the call."""
    counts = column.dropna().value_counts()
    if not len(counts):
        return None
    is_other = changed(_with(row, str(column.name), counts.index.to_numpy(object)))
    if not is_other.any():
        return None
    first = int(is_other.argmax())
    share = float(counts.iloc[first] / len(column))
    return Border(str(column.name), str(counts.index[first]), 1 - share)


def _with(row: pd.DataFrame, name: str, values: np.ndarray) -> pd.DataFrame:
    """The row, once for each value of a feature."""
    rows = row.loc[row.index.repeat(len(values))].reset_index(drop=True)
    return rows.assign(**{name: values})
