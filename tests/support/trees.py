"""A learner for tests of the policy."""

from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier


def fit_tree(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, ccp_alpha: float = 0.005
) -> Any:
    """A pruned tree."""
    tree = DecisionTreeClassifier(ccp_alpha=ccp_alpha, max_leaf_nodes=32, random_state=0)
    return tree.fit(features, labels, sample_weight=weights)
