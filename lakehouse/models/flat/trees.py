"""Decision trees as arrays: a node is a place, and a row steps from place to place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tree:
    """A tree of scikit-learn, its nodes in scikit-learn's order; node 0 is the root.

    Attributes:
        left: place of the child of rows at or below the threshold; a leaf's is its own.
        right: place of the child of the others; a leaf's is its own.
        feature: place of the feature that a node looks at.
        threshold: of a node (float64), in the feature's unit.
        value: nodes × outputs; what a leaf adds to each output.
        depth: steps from the root to the farthest leaf.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray
    depth: int

    @classmethod
    def of_sklearn(cls, tree: Any, width: int) -> "Tree":
        """A tree of `sklearn.tree`, whose leaves hold so many outputs.

        A leaf has no children there.
        """
        nodes, is_leaf = np.arange(tree.node_count), tree.children_left < 0
        return cls(
            left=np.where(is_leaf, nodes, tree.children_left),
            right=np.where(is_leaf, nodes, tree.children_right),
            feature=tree.feature,
            threshold=tree.threshold,
            value=np.ascontiguousarray(tree.value[:, 0, :width]),
            depth=int(tree.max_depth),
        )

    @classmethod
    def of_boosting(cls, nodes: np.ndarray) -> "Tree":
        """A tree of histogram boosting, that adds to one output."""
        places, is_leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
        return cls(
            left=np.where(is_leaf, places, nodes["left"]),
            right=np.where(is_leaf, places, nodes["right"]),
            feature=nodes["feature_idx"],
            threshold=nodes["num_threshold"],
            value=nodes["value"][:, np.newaxis],
            depth=int(nodes["depth"].max()),
        )

    @classmethod
    def of_constant(cls, value: float) -> "Tree":
        """A tree of one leaf, that adds to one output."""
        root = np.array([0])
        return cls(root, root, root, np.array([0.0]), np.array([[value]]), depth=0)

    @property
    def is_leaf(self) -> np.ndarray:
        """The mask of the nodes that are leaves."""
        return np.asarray(self.left == np.arange(len(self.left)))


def trees_of(model: Any) -> list[tuple[Tree, int]]:
    """The trees of a fitted model, in the order in which their leaves are summed.

    Args:
        model: a tree, a forest or histogram boosting of scikit-learn; others have none.

    Returns:
        Each tree with the output that its values begin at.
    """
    if hasattr(model, "_predictors"):
        steps = model._predictors
        return [(Tree.of_boosting(each.nodes), k) for step in steps for k, each in enumerate(step)]
    width = len(getattr(model, "classes_", [0]))
    estimators = getattr(model, "estimators_", [model])
    return [
        (Tree.of_sklearn(each.tree_, width), 0) for each in estimators if hasattr(each, "tree_")
    ]


@dataclass(frozen=True)
class Trees:
    """Trees one after the other, siblings side by side.

    A row at `node` goes to `left[node] + (row[feature[node]] > threshold[node])`. A leaf has an
    infinite threshold and is its own left child, so a row that has arrived stays.

    Attributes:
        left, feature: of each node (uint32).
        threshold: of each node; float32 where the model reads float32, else float64.
        value: nodes × outputs; what a leaf adds.
        root: the first node of each tree (uint32).
        crowded: steps that take a row to two thirds of the leaves of each tree (int64).
        depth: the most steps that a row takes in each tree (int64).
        column: the output that the first value of each tree's leaves belongs to (int64).
    """

    left: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray
    root: np.ndarray
    crowded: np.ndarray
    depth: np.ndarray
    column: np.ndarray

    @classmethod
    def of(cls, trees: Sequence[tuple[Tree, int]], reads: type[np.floating]) -> "Trees":
        """Return the trees in flat arrays.

        Args:
            trees: as by `trees_of`.
            reads: the type of number that thresholds are compared with.
        """
        ordered = [_siblings_side_by_side(tree) for tree, _ in trees]
        sizes = [len(tree.left) for tree in ordered]
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        threshold = np.concatenate([tree.threshold for tree in ordered])
        return cls(
            left=np.concatenate(
                [tree.left + root for tree, root in zip(ordered, roots, strict=True)]
            ).astype(np.uint32),
            feature=np.concatenate([tree.feature for tree in ordered]).astype(np.uint32),
            threshold=_at_or_below(threshold) if reads is np.float32 else threshold,
            value=np.concatenate([tree.value for tree in ordered]),
            root=roots.astype(np.uint32),
            crowded=np.array([_crowded(tree) for tree in ordered], dtype=np.int64),
            depth=np.array([tree.depth for tree in ordered], dtype=np.int64),
            column=np.array([column for _, column in trees], dtype=np.int64),
        )


def _siblings_side_by_side(tree: Tree) -> Tree:
    """The tree with its nodes by level, so that a right child follows its left one."""
    order = [0]
    for node in order:  # grows as it is read
        if tree.left[node] != node:
            order += [int(tree.left[node]), int(tree.right[node])]
    nodes = np.array(order)
    place = np.zeros(len(tree.left), dtype=np.int64)
    place[nodes] = np.arange(len(nodes))
    is_leaf = tree.is_leaf[nodes]
    return Tree(
        left=place[tree.left[nodes]],
        right=place[tree.right[nodes]],
        feature=np.where(is_leaf, 0, tree.feature[nodes]),
        threshold=np.where(is_leaf, np.inf, tree.threshold[nodes]),
        value=tree.value[nodes],
        depth=tree.depth,
    )


def _crowded(tree: Tree) -> int:
    """Steps within which a row reaches two thirds of the leaves; siblings lie side by side."""
    steps = np.zeros(len(tree.left), dtype=np.int64)
    for node, left in enumerate(tree.left):  # a parent comes before its children
        if left != node:
            steps[left : left + 2] = steps[node] + 1
    return int(np.quantile(steps[tree.is_leaf], 2 / 3, method="higher"))


def _at_or_below(thresholds: np.ndarray) -> np.ndarray:
    """The greatest float32 at or below each float64: float32 numbers are split by both alike."""
    single = thresholds.astype(np.float32)
    is_above = single.astype(np.float64) > thresholds
    single[is_above] = np.nextafter(single[is_above], np.float32(-np.inf))
    return single
