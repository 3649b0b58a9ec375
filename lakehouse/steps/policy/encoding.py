"""Features of any kind as numbers: what the policy's regions, difficulties and learners are computed from."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lakehouse.estimators import Features
from lakehouse.statistics.coding import coded
from lakehouse.statistics.difficulty import N_BINS, Difficulty

_MOST_VALUES = 30
_IS = "="  # no feature's name holds it


def names_of(rows: pa.Table, features: Features, known: Iterable[str] = ()) -> tuple[str, ...]:
    """The columns of the matrix: each numeric feature, then `feature=value` for the values of the others.

    Args:
        rows: with the feature columns.
        features: by kind.
        known: names that earlier versions were recorded with; theirs stay, so that their regions can be told.

    Returns:
        Of each feature that is not numeric, the 30 most frequent values and the known ones, in order.
    """
    found = set()
    for name in features.categorical:
        codes, texts = coded(rows[name])
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        most = sorted(range(len(texts)), key=lambda place: (-counts[place], texts[place]))[:_MOST_VALUES]
        found |= {f"{name}{_IS}{texts[place]}" for place in most}
    kept = {each for each in known if each.split(_IS)[0] in features.categorical}
    return (*features.numeric, *sorted(found | kept))


def matrix_of(rows: pa.Table, names: tuple[str, ...]) -> np.ndarray:
    """The features as numbers: rows × names; NaN where the value is missing."""
    matrix = np.empty((len(rows), len(names)))
    columns = {each.split(_IS)[0] for each in names if _IS in each}
    texts = {name: coded(rows[name]) for name in columns}
    for place, name in enumerate(names):
        if _IS not in name:
            matrix[:, place] = rows[name].cast(pa.float64()).to_numpy()
            continue
        column, value = name.split(_IS, 1)
        codes, known = texts[column]
        wanted = known.index(value) if value in known else -2
        matrix[:, place] = np.where(codes < 0, np.nan, codes == wanted)
    return matrix


@dataclass(frozen=True)
class CallBins:
    """How a version's calls are binned: by class and by how hard the row is for it."""

    difficulty: Difficulty
    names: tuple[str, ...]

    def bins(self, rows: pa.Table, calls: np.ndarray) -> np.ndarray:
        """Class code × number of difficulty bins + difficulty bin, of each call (a class code)."""
        return calls * N_BINS + self.difficulty.bins_of_calls(matrix_of(rows, self.names), calls)
