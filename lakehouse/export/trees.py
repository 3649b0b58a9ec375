"""Trees of scikit-learn as attributes of ONNX's `TreeEnsemble` (ai.onnx.ml 5), in doubles. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import numpy_helper

_AT_OR_BELOW = 0
"""Mode of a node: rows at or below the threshold go to the true branch."""
_SUM = 1
_NO_TRANSFORM = 0


@dataclass(frozen=True)
class Tree:
    """One tree; node 0 is the root.

    Attributes:
        left: node of the rows at or below the threshold; not read for a leaf.
        right: node of the others.
        feature: place of the feature that a node looks at.
        threshold: of a node (float64).
        is_leaf: of each node.
        value: nodes × outputs; what a leaf adds to each output.
        first: the output that the first value belongs to.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    is_leaf: np.ndarray
    value: np.ndarray
    first: int = 0


def tree_of(tree: Any, width: int) -> Tree:
    """A tree of `sklearn.tree`, whose leaves hold so many outputs."""
    return Tree(
        left=tree.children_left,
        right=tree.children_right,
        feature=tree.feature,
        threshold=tree.threshold,
        is_leaf=tree.children_left < 0,
        value=tree.value[:, 0, :width],
    )


def boosted_tree(nodes: np.ndarray, output: int) -> Tree:
    """A tree of histogram boosting, that adds to one output."""
    return Tree(
        left=nodes["left"],
        right=nodes["right"],
        feature=nodes["feature_idx"],
        threshold=nodes["num_threshold"],
        is_leaf=nodes["is_leaf"].astype(bool),
        value=nodes["value"][:, np.newaxis],
        first=output,
    )


def constant_tree(value: float, output: int) -> Tree:
    """A tree of one leaf: what boosting starts from."""
    none, zero = np.array([-1]), np.array([0])
    leaf = np.array([True])
    return Tree(none, none, zero, np.array([0.0]), leaf, np.array([[value]]), output)


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

    def add(self, tree: Tree, output: int) -> None:
        """Add a tree, with one of its outputs: a leaf of ONNX adds to one output alone."""
        values = tree.value[:, output]
        inner, leaves = np.flatnonzero(~tree.is_leaf), np.flatnonzero(tree.is_leaf)
        places = np.zeros(len(values), dtype=np.int64)
        places[inner] = len(self.feature) + np.arange(len(inner))
        places[leaves] = len(self.leaf_value) + np.arange(len(leaves))
        self.roots.append(len(self.feature))
        self.leaf_output += [tree.first + output] * len(leaves)
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
            self.is_leaf[side] += tree.is_leaf[children].astype(int).tolist()


def attributes_of(trees: Sequence[Tree], n_outputs: int) -> dict[str, Any]:
    """The attributes of a `TreeEnsemble` that sums the trees in their order.

    A tree with several outputs stands there once for each of them.
    """
    ensemble = _Ensemble()
    for tree in trees:
        for output in range(tree.value.shape[1]):
            ensemble.add(tree, output)
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
