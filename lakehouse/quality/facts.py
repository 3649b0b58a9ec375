"""The quality of a model of either kind, for callers that do not care which one it is."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from lakehouse.quality import classification, regression
from lakehouse.quality.classification import QualityFacts
from lakehouse.quality.regression import RegressionFacts

Quality: TypeAlias = QualityFacts | RegressionFacts
"""Both have n_rows, n_labelled, n_right, n_right_without_retraining, merge, to_row and from_row."""


def quality_metrics(facts: Quality) -> dict[str, Any]:
    """The columns of `profile_metrics` that judge a model of the facts' kind, by name."""
    if isinstance(facts, RegressionFacts):
        return regression.metrics_of(facts)
    return classification.metrics_of(facts)


def quality_from_row(row: Mapping[str, Any]) -> Quality:
    """The inverse of `to_row` of either kind: only a regressor's row has a tolerance."""
    if row.get("tolerance") is None:
        return QualityFacts.from_row(row)
    return RegressionFacts.from_row(row)


def merged_quality(a: Quality, b: Quality) -> Quality:
    """The facts of both sets of rows together.

    Raises:
        ValueError: they are of a classifier and a regressor, or cannot be merged otherwise.
    """
    if isinstance(a, RegressionFacts) and isinstance(b, RegressionFacts):
        return a.merge(b)
    if isinstance(a, QualityFacts) and isinstance(b, QualityFacts):
        return a.merge(b)
    raise ValueError("Facts of a classifier and of a regressor cannot be merged.")
