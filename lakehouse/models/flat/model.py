"""A flat model: many rows by the kernel, a row alone by plain Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lakehouse.models.flat import kernel
from lakehouse.models.flat.finish import Finish
from lakehouse.models.flat.linked import LinkedTrees
from lakehouse.models.flat.trees import Trees
from lakehouse.models.trials import LARGEST_FLOAT32


@dataclass(frozen=True)
class FlatModel:
    """The trees of a fitted pipeline; see `flattened`. Nothing in it changes: threads may share it.

    Attributes:
        trees: in the order of their sums.
        fill: what stands for a missing value of each feature.
        start: what each sum begins with.
        finish: sums to outputs.
    """

    trees: Trees
    fill: np.ndarray
    start: np.ndarray
    finish: Finish

    def outputs(self, values: np.ndarray) -> np.ndarray:
        """The outputs of rows, as `Problem.outputs` has them of the same rows, to the bit.

        Args:
            values: rows × features (float64), in the order of the features; NaN is missing. Numbers
                beyond float32 are taken as its greatest, as `Features.frame` does.

        Returns:
            Rows × classes, or a number for each row.

        Raises:
            ModuleNotFoundError: numba is not installed.
            ValueError: there is not a value for each feature.
        """
        self._check(values.shape[1])
        known = np.where(np.isnan(values), self.fill, values)
        np.clip(known, -LARGEST_FLOAT32, LARGEST_FLOAT32, out=known)
        rows = np.ascontiguousarray(known, dtype=self.trees.threshold.dtype)
        sums = np.empty((len(self.start), len(rows)))
        sums[:] = self.start[:, np.newaxis]
        trees = self.trees
        kernel.compiled()(
            *(rows, trees.left, trees.feature, trees.threshold, trees.value),
            *(trees.root, trees.crowded, trees.depth, trees.column, sums),
        )
        return self.finish(sums.T)

    def output(self, row: Sequence[float | None]) -> list[float]:
        """The output of a row alone, to the bit as scikit-learn's of that row; needs no numba.

        Args:
            row: a value for each feature, in their order; None and NaN are missing.

        Returns:
            The probability of each class, or one number.

        Raises:
            ValueError: there is not a value for each feature.
        """
        self._check(len(row))
        sums: list[float] = self.start.tolist()
        self._linked.add_leaves(row, sums)
        return self.finish(np.array([sums])).ravel().tolist()

    def _check(self, n_values: int) -> None:
        if n_values != len(self.fill):
            raise ValueError(f"a row has {n_values} values; the model reads {len(self.fill)}")

    @cached_property
    def _linked(self) -> LinkedTrees:
        return LinkedTrees.of(self.trees, self.fill)
