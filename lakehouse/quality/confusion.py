"""Accuracy, precision, recall and F1 from counts of (prediction, label) pairs."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from lakehouse.profiling.coding import Coded

Confusion = Mapping[tuple[str, str], int]
"""Rows per (prediction, label)."""


def confusion_of(predicted: Coded, actual: Coded) -> dict[tuple[str, str], int]:
    """Count rows by prediction's and label's text; rows that lack one of them do not count."""
    is_whole = (predicted.codes >= 0) & (actual.codes >= 0)
    pairs, counts = np.unique(
        predicted.codes[is_whole] * max(len(actual.texts), 1) + actual.codes[is_whole],
        return_counts=True,
    )
    return {
        (predicted.texts[pair // len(actual.texts)], actual.texts[pair % len(actual.texts)]): count
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
    }


def count_right(confusion: Confusion) -> int:
    """Rows whose prediction is the label."""
    return sum(n for (prediction, label), n in confusion.items() if prediction == label)


def accuracy(confusion: Confusion) -> float:
    """The share of rows whose prediction is the label; at least one row is needed."""
    return count_right(confusion) / sum(confusion.values())


def precision_recall_f1(confusion: Confusion) -> dict[str, dict[str, Any]]:
    """`precision`, `recall` and `f1_score`, each `macro`, `weighted` and `one_vs_all`.

    Classes are all that were predicted or are labels. As scikit-learn with zero_division=0: what
    has no denominator counts as 0; `weighted` weighs classes by their labels. At least one row is
    needed.
    """
    classes = sorted({name for pair in confusion for name in pair})
    predicted, labelled = Counter[str](), Counter[str]()
    for (prediction, label), n in confusion.items():
        predicted[prediction] += n
        labelled[label] += n
    right = {name: confusion.get((name, name), 0) for name in classes}
    return {
        "precision": _averaged(
            {name: _ratio(right[name], predicted[name]) for name in classes}, labelled
        ),
        "recall": _averaged(
            {name: _ratio(right[name], labelled[name]) for name in classes}, labelled
        ),
        "f1_score": _averaged(
            {name: _ratio(2 * right[name], predicted[name] + labelled[name]) for name in classes},
            labelled,
        ),
    }


def _averaged(by_class: dict[str, float], weights: Mapping[str, int]) -> dict[str, Any]:
    weighted = sum(value * weights[name] for name, value in by_class.items()) / sum(
        weights.values()
    )
    return {
        "macro": sum(by_class.values()) / len(by_class),
        "weighted": weighted,
        "one_vs_all": by_class,
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
