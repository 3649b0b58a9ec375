"""Flat trees as linked tuples, which plain Python walks faster than arrays or lists."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lakehouse.models.flat.trees import Trees
from lakehouse.models.trials import LARGEST_FLOAT32

Node: TypeAlias = tuple[int, float, Any, Any]
"""A feature, its threshold, the node of rows at or below it, and that of the others. A leaf holds
its values in place of the third, and None in place of the fourth.
"""


@dataclass(frozen=True)
class LinkedTrees:
    """The trees of a flat model, for a row alone.

    Attributes:
        roots: each tree's root, and the output that its values begin at.
        fill: what stands for a missing value of each feature.
        single: rounds numbers to float32, where trees read those; else None.
    """

    roots: tuple[tuple[Node, int], ...]
    fill: tuple[float, ...]
    single: struct.Struct | None

    @classmethod
    def of(cls, trees: Trees, fill: np.ndarray) -> "LinkedTrees":
        """Return the same trees, linked."""
        nodes = _linked(trees)
        columns = zip(trees.root.tolist(), trees.column.tolist(), strict=True)
        reads_single = trees.threshold.dtype == np.float32
        return cls(
            tuple((nodes[root], column) for root, column in columns),
            tuple(fill.tolist()),
            struct.Struct(f"{len(fill)}f") if reads_single else None,
        )

    def add_leaves(self, row: Sequence[float | None], sums: list[float]) -> None:
        """Add each tree's leaf of the row to the sums, tree after tree."""
        numbers = self._numbers(row)
        for root, column in self.roots:
            feature, threshold, below, above = root
            while above is not None:
                feature, threshold, below, above = below if numbers[feature] <= threshold else above
            for output, value in enumerate(below, column):
                sums[output] += value

    def _numbers(self, row: Sequence[float | None]) -> Sequence[float]:
        """The row as trees take it: nothing missing, in the type that they read."""
        known = [
            standing if value is None or math.isnan(value) else float(value)
            for value, standing in zip(row, self.fill, strict=True)
        ]
        clipped = [min(max(value, -LARGEST_FLOAT32), LARGEST_FLOAT32) for value in known]
        return clipped if self.single is None else self.single.unpack(self.single.pack(*clipped))


def _linked(trees: Trees) -> list[Node]:
    """Every node, linked to its children, which stand after it."""
    features, thresholds = trees.feature.tolist(), trees.threshold.tolist()
    lefts, values = trees.left.tolist(), trees.value.tolist()
    nodes: list[Node] = [(0, 0.0, None, None)] * len(lefts)
    for place in reversed(range(len(lefts))):
        left = lefts[place]
        is_leaf = left == place
        nodes[place] = (
            (0, 0.0, values[place], None)
            if is_leaf
            else (features[place], thresholds[place], nodes[left], nodes[left + 1])
        )
    return nodes
