"""Sums of leaves to outputs, in scikit-learn's own operations."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np


@dataclass(frozen=True)
class Classes:
    """Where a model's probabilities belong among a problem's classes.

    Attributes:
        codes: the problem's class of each of the model's columns.
        count: how many classes the problem has.
    """

    codes: tuple[int, ...]
    count: int

    def spread(self, probabilities: np.ndarray) -> np.ndarray:
        """Rows × classes of the problem; a class that the model never saw has zero."""
        if len(self.codes) == self.count:
            return probabilities
        full = np.zeros((len(probabilities), self.count))
        full[:, self.codes] = probabilities
        return full


@dataclass(frozen=True)
class Averaged:
    """Of a forest: the mean of its trees. A tree alone is a forest of one.

    Attributes:
        n_trees: how many there are.
        classes: of a classifier; None of a regressor.
    """

    n_trees: int
    classes: Classes | None

    def __call__(self, sums: np.ndarray) -> np.ndarray:
        """Rows × sums to outputs; the sums are overwritten."""
        sums /= self.n_trees
        return sums[:, 0] if self.classes is None else self.classes.spread(sums)


@dataclass(frozen=True)
class Boosted:
    """Of boosting: the loss's inverse link.

    Attributes:
        loss: scikit-learn's.
        classes: of a classifier; None of a regressor.
    """

    loss: Any
    classes: Classes | None

    def __call__(self, sums: np.ndarray) -> np.ndarray:
        """Rows × sums (column by column in memory, as scikit-learn has them) to outputs."""
        if self.classes is None:
            return self.loss.link.inverse(sums.ravel())
        return self.classes.spread(self.loss.predict_proba(sums))


Finish: TypeAlias = Averaged | Boosted
