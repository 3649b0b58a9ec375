"""Where a border of the rule may move: the outer parts of each feature, among the rows that get the
same prediction.
"""

import numpy as np

from lakehouse.retraining.policy.records import Region, Rows

PARTS = (0.1, 0.2, 0.35, 0.5)
"""Shares of a prediction's rows that lie in a part, from either end of a feature."""

_MOST = 0.6


def boundary_strips(rows: Rows, predictions: np.ndarray) -> tuple[Region, ...]:
    """The lowest and the highest tenth, fifth, third and half of each feature, for each kind of
    prediction.

    A rule that changes by a border that moves is wrong in one of them alone, where a model's errors
    by expected error are spread over all borders that it has. A part that equal values make empty,
    or larger than intended, is left out.

    Args:
        rows: that a version was fitted on.
        predictions: what it predicts for each, cross-fitted.
    """
    found: dict[Region, None] = {}
    kinds = rows.problem.kind_of(predictions)
    for code in np.unique(kinds):
        values = rows.features[kinds == code]
        for place, name in enumerate(rows.names):
            column = values[:, place]
            known = column[~np.isnan(column)]
            for low, high in _parts(known):
                inside = ((known > low) & (known <= high)).mean()
                if 0 < inside <= _MOST:
                    found[Region(((name, low, high),), int(code))] = None
    return tuple(found)


def _parts(known: np.ndarray) -> list[tuple[float, float]]:
    if not len(known):
        return []
    lower = [(-np.inf, float(edge)) for edge in np.quantile(known, PARTS)]
    return lower + [
        (float(edge), np.inf) for edge in np.quantile(known, [1 - part for part in PARTS])
    ]
