"""Features of any kind as numbers, for the policy's regions, expected errors and learners."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lakehouse.models import Features
from lakehouse.models.expected_error.spline_logistic import SplineLogistic, bins_of
from lakehouse.profiling.coding import coded

_MOST_VALUES = 30
_TRUTHS = {"true": 1.0, "false": 0.0}
_IS = "="  # no feature's name holds it


def names_of(rows: pa.Table, features: Features, known: Iterable[str] = ()) -> tuple[str, ...]:
    """The matrix's columns: each numeric feature, then `feature=value` for values of the others.

    What earlier versions read and the settings do not name any more is among them.

    Args:
        rows: with the feature columns.
        features: by kind.
        known: names on record for earlier versions; they stay, for the sake of their regions.

    Returns:
        Of each other feature, the 30 most frequent values and the known ones, in order.
    """
    frequent = set()
    for name in features.categorical:
        labels, texts = coded(rows[name])
        counts = np.bincount(labels[labels >= 0], minlength=len(texts))
        ranked = sorted(range(len(texts)), key=lambda place: (-counts[place], texts[place]))
        frequent |= {f"{name}{_IS}{texts[place]}" for place in ranked[:_MOST_VALUES]}
    # An older version's numeric feature may be gone from the settings; its column stays.
    gone = [column for column in known if _IS not in column and column not in features.numeric]
    recorded = {column for column in known if _IS in column}
    return (*features.numeric, *dict.fromkeys(gone), *sorted(frequent | recorded))


def feature_of(name: str) -> str:
    """The feature that a column of the matrix is made from."""
    return name.split(_IS, maxsplit=1)[0]


def matrix_of(rows: pa.Table, names: tuple[str, ...]) -> np.ndarray:
    """The features as numbers, rows × names; NaN if the value or the column is missing."""
    matrix = np.empty((len(rows), len(names)))
    for place, name in enumerate(names):
        column, _, value = name.partition(_IS)
        if column not in rows.column_names:
            matrix[:, place] = np.nan
        elif _IS not in name:
            # Not safe: whole numbers beyond 2**53 become the nearest double.
            matrix[:, place] = rows[column].cast(pa.float64(), safe=False).to_numpy()
        else:
            matrix[:, place] = _is_value(rows[column], value)
    return matrix


def _is_value(column: pa.ChunkedArray, value: str) -> np.ndarray:
    """Return whether each value is the one of this text; NaN where it is missing."""
    if pa.types.is_floating(column.type):  # a truth value, which an older release took for a text
        numbers = column.to_numpy()
        return np.where(np.isnan(numbers), np.nan, numbers == _TRUTHS.get(value, np.inf))
    labels, texts = coded(column)
    wanted = texts.index(value) if value in texts else -2
    return np.where(labels < 0, np.nan, labels == wanted)


@dataclass(frozen=True)
class ErrorBins:
    """How a version's predictions are binned: by kind and by how hard the row is for it."""

    expected_error: SplineLogistic
    names: tuple[str, ...]

    @classmethod
    def of_record(cls, text: str) -> "ErrorBins":
        """Those of a policy record, as JSON."""
        record = json.loads(text)
        return cls(SplineLogistic.from_json(record["difficulty"]), tuple(record["names"]))

    def bins(self, rows: pa.Table, kinds: np.ndarray) -> np.ndarray:
        """Kind × number of error bins + error bin, of each row's prediction (by its kind)."""
        return bins_of(self.expected_error, matrix_of(rows, self.names), kinds)
