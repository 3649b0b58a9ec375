"""Trees as attributes of ONNX's `TreeEnsemble` (ai.onnx.ml 5), in doubles. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import numpy_helper

from lakehouse.models.flat import Tree

_AT_OR_BELOW = 0
"""Mode of a node: rows at or below the threshold go to the true branch."""
_SUM = 1
_NO_TRANSFORM = 0


@dataclass
class _Ensemble:
    """Lists that grow with each tree; places are those of ONNX's lists."""

    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    branches: list[list[int]] = field(default_factory=lambda: [[], []])
    is_leaf: list[list[int]] = field(default_factory=lambda: [[], []])
    roots: list[int] = field(default_factory=list)
    leaf_output: list[int] = field(default_factory=list)
    leaf_value: list[float] = field(default_factory=list)

    def add(self, tree: Tree, output: int, target: int) -> None:
        """Add a tree, with one of its outputs: a leaf of ONNX adds to one output alone.

        Args:
            tree: of which one output is added.
            output: place of it among the tree's.
            target: place of it among the ensemble's.
        """
        values, is_leaf = tree.value[:, output], tree.is_leaf
        inner, leaves = np.flatnonzero(~is_leaf), np.flatnonzero(is_leaf)
        places = np.zeros(len(values), dtype=np.int64)
        places[inner] = len(self.feature) + np.arange(len(inner))
        places[leaves] = len(self.leaf_value) + np.arange(len(leaves))
        self.roots.append(len(self.feature))
        self.leaf_output += [target] * len(leaves)
        self.leaf_value += values[leaves].tolist()
        if not len(inner):
            # A root has to be a node: both of its branches are the only leaf.
            inner, left, right = np.array([0]), np.array([0]), np.array([0])
        else:
            left, right = tree.left[inner], tree.right[inner]
        self.feature += np.maximum(tree.feature[inner], 0).tolist()
        self.threshold += tree.threshold[inner].tolist()
        for side, children in enumerate((left, right)):
            self.branches[side] += places[children].tolist()
            self.is_leaf[side] += is_leaf[children].astype(int).tolist()


def attributes_of(trees: Sequence[tuple[Tree, int]], n_outputs: int) -> dict[str, Any]:
    """The attributes of a `TreeEnsemble` that sums the trees in their order.

    A tree with several outputs stands there once for each of them.

    Args:
        trees: as by `trees_of`.
        n_outputs: of all trees together.
    """
    ensemble = _Ensemble()
    for tree, first in trees:
        for output in range(tree.value.shape[1]):
            ensemble.add(tree, output, first + output)
    return {
        "aggregate_function": _SUM,
        "post_transform": _NO_TRANSFORM,
        "n_targets": n_outputs,
        "tree_roots": ensemble.roots,
        "nodes_featureids": ensemble.feature,
        "nodes_splits": _tensor(ensemble.threshold),
        "nodes_modes": numpy_helper.from_array(
            np.full(len(ensemble.feature), _AT_OR_BELOW, dtype=np.uint8), "modes"
        ),
        "nodes_truenodeids": ensemble.branches[0],
        "nodes_falsenodeids": ensemble.branches[1],
        "nodes_trueleafs": ensemble.is_leaf[0],
        "nodes_falseleafs": ensemble.is_leaf[1],
        "leaf_targetids": ensemble.leaf_output,
        "leaf_weights": _tensor(ensemble.leaf_value),
    }


def _tensor(values: Iterable[float]) -> Any:
    return numpy_helper.from_array(np.array(list(values), dtype=np.float64), "values")
