"""The learner of the simulation: a pruned decision tree."""

from dataclasses import dataclass

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from lakehouse.retraining.policy.candidates.regions import filled


@dataclass(frozen=True)
class Tree:
    """A fitted tree; missing values are taken at the median of its rows."""

    tree: DecisionTreeClassifier
    medians: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The class code of each row."""
        gone = np.isnan(features)
        values = np.where(gone, self.medians, features) if gone.any() else features
        return self.tree.predict(values)


def fit_tree(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, ccp_alpha: float = 0.005
) -> Tree:
    """Fit the tree."""
    tree = DecisionTreeClassifier(ccp_alpha=ccp_alpha, max_leaf_nodes=32, random_state=0)
    medians = np.nanmedian(features, axis=0)
    values = filled(features)
    tree.fit(values, labels, sample_weight=weights)
    return Tree(tree, medians)
