"""A flat model: many rows by the kernel, a row alone by plain Python."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lakehouse.models.flat import kernel
from lakehouse.models.flat.finish import Finish
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
            *(trees.root, trees.depth, trees.column, sums),
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
        nodes, numbers = self._nodes, self._numbers(row)
        left, feature, threshold = nodes.left, nodes.feature, nodes.threshold
        sums = self.start.tolist()
        for node, column in nodes.roots:
            child = left[node]
            while child != node:
                node = child + (numbers[feature[node]] > threshold[node])  # noqa: PLW2901
                child = left[node]
            for output, value in enumerate(nodes.value[node], column):
                sums[output] += value
        return self.finish(np.array([sums])).ravel().tolist()

    def _check(self, n_values: int) -> None:
        if n_values != len(self.fill):
            raise ValueError(f"a row has {n_values} values; the model reads {len(self.fill)}")

    def _numbers(self, row: Sequence[float | None]) -> Sequence[float]:
        """The row as trees take it: nothing missing, in the type that they read."""
        known = [
            standing if value is None or math.isnan(value) else float(value)
            for value, standing in zip(row, self._nodes.fill, strict=True)
        ]
        clipped = [min(max(value, -LARGEST_FLOAT32), LARGEST_FLOAT32) for value in known]
        single = self._nodes.single
        return clipped if single is None else single.unpack(single.pack(*clipped))

    @cached_property
    def _nodes(self) -> "_Nodes":
        trees = self.trees
        reads_single = trees.threshold.dtype == np.float32
        return _Nodes(
            trees.left.tolist(),
            trees.feature.tolist(),
            trees.threshold.tolist(),
            trees.value.tolist(),
            list(zip(trees.root.tolist(), trees.column.tolist(), strict=True)),
            self.fill.tolist(),
            struct.Struct(f"{len(self.fill)}f") if reads_single else None,
        )


@dataclass(frozen=True)
class _Nodes:
    """The arrays of trees as lists, which plain Python reads faster.

    `roots` are each tree's root and first output; `single` rounds numbers to float32, where trees
    read those.
    """

    left: list[int]
    feature: list[int]
    threshold: list[float]
    value: list[list[float]]
    roots: list[tuple[int, int]]
    fill: list[float]
    single: struct.Struct | None
