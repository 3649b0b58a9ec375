"""What does a challenger call otherwise than the champion: how many rows, where, and on whose side
are the labels?
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from lakehouse.models import Problem
from lakehouse.profiling.columns import text_of
from lakehouse.retraining.policy.candidates.regions import filled, sides_of
from lakehouse.retraining.policy.detection.diagnose import sides_in_words
from lakehouse.retraining.policy.records import Rows

_LEAVES = 8
"""Of the tree: a box that moves along one feature leaves five stretches, and two features add
more."""
_LEAST_GAIN = 0.1
"""Share of the whole impurity that each cut of the tree must take away: what is one region is not
told as three."""
_MOST_REGIONS = 4
"""A person reads no more."""
_LEAST_ROWS = 3
"""Fewer rows are an example, no region."""
_DENSE = 0.5
"""Share of a region's rows that are called otherwise: of fewer, it is not the region that tells."""


@dataclass(frozen=True)
class Difference:
    """How two models' predictions of the same rows differ in a region.

    Attributes:
        region: the features in words; None for all rows.
        change: what most of the differing rows are called now, and were called before; None where
            none differ.
        rows: compared there.
        differ: of them, rows whose two predictions cannot both be right.
        for_challenger: of those, rows whose label is nearer to the challenger's prediction.
        for_champion: those whose label is nearer to the champion's.
    """

    region: str | None
    change: str | None
    rows: int
    differ: int
    for_challenger: int
    for_champion: int


def differences(rows: Rows, champion: np.ndarray, challenger: np.ndarray) -> tuple[Difference, ...]:
    """All rows first, then up to four regions in which most rows are called otherwise, those with
    the most such rows first.

    The regions are the leaves of a small tree that is fitted to "called so instead of so".

    Five of ten pieces are called 0 now, those up to 354 degrees, and their labels say so too:

        >>> temp = np.array([351, 352, 353, 353.5, 354, 355, 356, 357, 358, 359])
        >>> labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
        >>> hour = np.arange(10).astype("datetime64[h]")
        >>> rows = Rows(("temp",), temp[:, np.newaxis], labels, hour, hour)
        >>> _, found = differences(rows, np.ones(10, dtype=int), labels)
        >>> found.region, found.change, found.differ, found.for_challenger
        ('temp up to 354.5', '0 instead of 1', 5, 5)

    Args:
        rows: that both are compared on.
        champion: its predictions for them.
        challenger: likewise.
    """
    calls = _calls(rows.problem, champion, challenger)
    sides = _sides_of_labels(rows, champion, challenger)
    everywhere = np.ones(len(rows), dtype=bool)
    found = [_difference(None, everywhere, calls, sides)]
    if (calls != "").sum() >= _LEAST_ROWS:
        found += _regions(rows, calls, sides)
    return tuple(found)


def _calls(problem: Problem, champion: np.ndarray, challenger: np.ndarray) -> np.ndarray:
    """What each row is called now and was before; empty text where both may be right."""
    before, now = problem.kind_of(champion), problem.kind_of(challenger)
    names = np.array([text_of(kind) for kind in problem.kinds], dtype=object)
    calls = np.where(challenger > champion, "higher", "lower").astype(object)
    other_kind = before != now
    calls[other_kind] = names[now[other_kind]] + " instead of " + names[before[other_kind]]
    calls[~problem.differ(champion, challenger)] = ""
    return calls


def _sides_of_labels(rows: Rows, champion: np.ndarray, challenger: np.ndarray) -> np.ndarray:
    """Return 1 where the label is nearer to the challenger, -1 to the champion, 0 to neither."""
    first, second = (rows.problem.losses(each, rows.labels) for each in (champion, challenger))
    return (second < first).astype(int) - (first < second)


def _regions(rows: Rows, calls: np.ndarray, sides: np.ndarray) -> list[Difference]:
    values = filled(rows.features)
    _, counts = np.unique(calls.astype(str), return_counts=True)
    impurity = 1 - np.square(counts / len(calls)).sum()  # Gini's, as the tree measures it
    tree = DecisionTreeClassifier(
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=_LEAST_ROWS,
        ccp_alpha=_LEAST_GAIN * impurity,
        random_state=0,
    ).fit(values, calls.astype(str))
    leaves = tree.apply(values)
    found = []
    for leaf in np.unique(leaves):
        words = sides_in_words(sides_of(tree.tree_, int(leaf), rows.names))
        found.append(_difference(words, leaves == leaf, calls, sides))
    dense = [each for each in found if each.region and each.differ >= _DENSE * each.rows]
    return sorted(dense, key=lambda each: -each.differ)[:_MOST_REGIONS]


def _difference(
    region: str | None, where: np.ndarray, calls: np.ndarray, sides: np.ndarray
) -> Difference:
    differs = where & (calls != "")
    most = Counter(calls[differs]).most_common(1)
    return Difference(
        region,
        most[0][0] if most else None,
        int(where.sum()),
        int(differs.sum()),
        int((sides[differs] > 0).sum()),
        int((sides[differs] < 0).sum()),
    )
