"""Where do new labels contradict what was learned? A small tree of the rows that a model got
wrong.
"""

from typing import Any

import numpy as np
from scipy.stats import binom
from sklearn.tree import DecisionTreeClassifier

from lakehouse.retraining.policy.records import Region, Rows

_WRONG_RATE = 0.5
_USUAL_RATE = 0.08
_TAIL = 0.001
_LEAVES = 4
_LEAST_LEAF = 2
_PRUNING = 0.04


def contradicted(rows: Rows, predictions: np.ndarray) -> tuple[Region, ...]:
    """Regions of the features in which the rows contradict what an earlier model predicts for them.

    Kind by kind of its predictions, since that is how a rule changes: a pruned tree of "the
    prediction was wrong" over the rows that got this prediction. Its leaves in which the prediction
    was wrong at least every other time, and so often would hardly come about (binomial tail below
    .001) at a usual rate of .08. A tree of all predictions at once sees the rows whose label did
    not change as evidence against, and needs about three times as many rows.

    Ten new pieces, all predicted good (1) by the old model. Those up to 354 degrees turn out bad:

        >>> temp = np.array([351, 352, 353, 353.5, 354, 355, 356, 357, 358, 359])
        >>> labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
        >>> hour = np.arange(10).astype("datetime64[h]")
        >>> rows = Rows(("temp",), temp[:, np.newaxis], labels, hour, hour)
        >>> contradicted(rows, np.ones(10, dtype=int))
        (Region(sides=(('temp', -inf, 354.5),), code=1),)

    Args:
        rows: rows since the change.
        predictions: what the earlier model predicts for each.
    """
    values, wrong, kinds = (
        filled(rows.features),
        rows.wrong(predictions),
        rows.problem.kind_of(predictions),
    )
    found: list[Region] = []
    for code in np.unique(kinds):
        predicted_in_production = kinds == code
        if wrong[predicted_in_production].any():
            found += _leaves(
                values[predicted_in_production],
                wrong[predicted_in_production],
                int(code),
                rows.names,
            )
    return tuple(found)


def _leaves(
    values: np.ndarray, wrong: np.ndarray, code: int, names: tuple[str, ...]
) -> list[Region]:
    tree = DecisionTreeClassifier(
        max_leaf_nodes=_LEAVES, min_samples_leaf=_LEAST_LEAF, ccp_alpha=_PRUNING, random_state=0
    ).fit(values, wrong)
    leaves = tree.apply(values)
    found = []
    for leaf in np.unique(leaves):
        missed, size = int(wrong[leaves == leaf].sum()), int((leaves == leaf).sum())
        if missed >= _WRONG_RATE * size and binom.sf(missed - 1, size, _USUAL_RATE) < _TAIL:
            found.append(Region(sides_of(tree.tree_, int(leaf), names), code))
    return found


def filled(features: np.ndarray) -> np.ndarray:
    """The features with the median of each where a value is missing."""
    gone = np.isnan(features)
    if not gone.any():
        return features
    with np.errstate(all="ignore"):
        medians = np.nan_to_num(np.nanmedian(features, axis=0))
    return np.where(gone, medians, features)


def sides_of(tree: Any, leaf: int, names: tuple[str, ...]) -> tuple[tuple[str, float, float], ...]:
    """The box of a leaf: for each feature that the way to it asks for, the tightest bounds."""
    bounds: dict[str, tuple[float, float]] = {}
    node = leaf
    while node != 0:
        is_left = tree.children_left == node
        parent = int(np.flatnonzero(is_left | (tree.children_right == node))[0])
        name, cut = names[tree.feature[parent]], float(tree.threshold[parent])
        low, high = bounds.get(name, (-np.inf, np.inf))
        bounds[name] = (low, min(high, cut)) if is_left.any() else (max(low, cut), high)
        node = parent
    return tuple((name, low, high) for name, (low, high) in sorted(bounds.items()))
