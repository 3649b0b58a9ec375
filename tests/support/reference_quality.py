"""The quality of a model from raw rows, by scikit-learn: the part of support/reference.py that
looks at labels.
"""

import math
from collections.abc import Iterable, Sequence
from operator import eq
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn import metrics

from tests.support.expectations import Between, Near

SCORE_BINS, LOGIT_RANGE = 400, 8.0
CONFIDENCE_BINS = 15


def classification_of(
    predictions: Iterable[Any],
    labels: Iterable[Any],
    probabilities: np.ndarray | None,
    classes: Sequence[Any],
    positive: Any = None,
    without_retraining: Iterable[Any] | None = None,
) -> dict[str, Any]:
    """The columns of `profile_metrics` that judge a classifier, from raw rows; a missing label is
    None or NaN.
    """
    names, raw = list(map(text_of, classes)), list(labels)
    known = np.array([not is_null(label) for label in raw], dtype=bool)
    truth = [text_of(label) for label, there in zip(raw, known, strict=True) if there]
    predicted = [text_of(each) for each, there in zip(predictions, known, strict=True) if there]
    others = (
        None
        if without_retraining is None
        else np.array(list(without_retraining), dtype=object)[known]
    )
    if not truth:
        return dict.fromkeys(_CLASSIFICATION)
    right = (
        None
        if others is None or any(map(is_null, others))
        else sum(map(eq, map(text_of, others), truth))
    )
    return {
        "accuracy_score": Near(metrics.accuracy_score(truth, predicted)),
        **_confusion(truth, predicted),
        **_scores(
            truth,
            None if probabilities is None else np.asarray(probabilities, float)[known],
            names,
            positive,
        ),
        "accuracy_without_retraining": None if right is None else Near(right / len(truth)),
    }


_CLASSIFICATION = (
    *(
        "accuracy_score",
        "log_loss",
        "roc_auc_score",
        "confusion_matrix",
        "precision",
        "recall",
        "f1_score",
    ),
    *("brier_score", "expected_calibration_error", "accuracy_without_retraining"),
)


def _confusion(truth: list[str], predicted: list[str]) -> dict[str, Any]:
    names = sorted({*truth, *predicted})
    table = metrics.confusion_matrix(truth, predicted, labels=names)
    expected: dict[str, Any] = {name: {} for name in ("precision", "recall", "f1_score")}
    for average in ("macro", "weighted", None):
        found = metrics.precision_recall_fscore_support(
            truth, predicted, labels=names, average=average, zero_division=0
        )
        for column, value in zip(expected.values(), found, strict=False):
            if average:
                column[average] = Near(float(value))
            else:
                column["one_vs_all"] = {
                    name: Near(float(each)) for name, each in zip(names, value, strict=True)
                }
    cells = [
        {
            "prediction": prediction,
            "label": label,
            "count": int(table[names.index(label), names.index(prediction)]),
        }
        for prediction in names
        for label in names
    ]
    return {**expected, "confusion_matrix": [cell for cell in cells if cell["count"]]}


def _scores(
    truth: list[str], probabilities: np.ndarray | None, names: list[str], positive: Any
) -> dict[str, Any]:
    empty = dict.fromkeys(
        ("log_loss", "roc_auc_score", "brier_score", "expected_calibration_error")
    )
    if probabilities is None:
        return empty
    scored = np.isfinite(probabilities).all(axis=1)
    p, y = probabilities[scored], np.array(truth, dtype=object)[scored]
    if not len(y):
        return empty
    is_class = np.array([[label == name for name in names] for label in y])
    true_score = np.clip((p * is_class).sum(axis=1), np.finfo(float).eps, 1 - np.finfo(float).eps)
    judged = (
        [names.index(text_of(positive) if positive is not None else names[-1])]
        if len(names) == 2
        else range(len(p[0]))
    )
    brier = ((p[:, judged] - is_class[:, judged]) ** 2).sum(axis=1).mean()
    return {
        "log_loss": Near(float(-np.log(true_score).mean())),
        "roc_auc_score": _auc_bounds([(p[:, k], is_class[:, k]) for k in judged]),
        "brier_score": Near(float(brier)),
        "expected_calibration_error": Near(_calibration_error(p, is_class)),
    }


def _auc_bounds(each: list[tuple[np.ndarray, np.ndarray]]) -> Between | None:
    """scikit-learn's, off by at most half the pairs whose scores share a bin of log odds."""
    areas, errors = [], []
    for scores, is_positive in each:
        if 0 < is_positive.sum() < len(is_positive):
            odds = np.clip(logit(scores), -LOGIT_RANGE, LOGIT_RANGE)
            bins = np.floor((odds + LOGIT_RANGE) / (2 * LOGIT_RANGE) * SCORE_BINS).clip(
                0, SCORE_BINS - 1
            )
            shared = sum(
                (is_positive & (bins == each)).sum() * (~is_positive & (bins == each)).sum()
                for each in set(bins)
            )
            areas.append(metrics.roc_auc_score(is_positive, scores))
            errors.append(shared / 2 / is_positive.sum() / (~is_positive).sum())
    return (
        Between(np.mean(areas) - np.mean(errors), np.mean(areas) + np.mean(errors))
        if areas
        else None
    )


def _calibration_error(probabilities: np.ndarray, is_class: np.ndarray) -> float:
    confidence, right = (
        probabilities.max(axis=1),
        is_class[range(len(is_class)), probabilities.argmax(axis=1)],
    )
    error = 0.0
    for i in range(CONFIDENCE_BINS):
        within = (confidence > i / CONFIDENCE_BINS) & (confidence <= (i + 1) / CONFIDENCE_BINS)
        if within.any():
            error += within.mean() * abs(right[within].mean() - confidence[within].mean())
    return float(error)


def regression_of(
    predictions: Iterable[float],
    labels: Iterable[float | None],
    tolerance: float,
    without_retraining: Iterable[float | None] | None = None,
) -> dict[str, Any]:
    """The columns of `profile_metrics` that judge a regressor, from raw rows; a missing label is
    None or NaN.
    """
    truth = np.array([np.nan if is_null(label) else label for label in labels], dtype=float)
    known = np.isfinite(truth)
    y, predicted = truth[known], np.array(list(predictions), dtype=float)[known]
    if not len(y):
        return dict.fromkeys(_REGRESSION)
    others = None
    if without_retraining is not None:
        others = np.array(
            [np.nan if is_null(each) else each for each in without_retraining], dtype=float
        )[known]
    unknown = others is None or np.isnan(others).any()
    return {
        "mean_squared_error": Near(metrics.mean_squared_error(y, predicted)),
        "root_mean_squared_error": Near(metrics.root_mean_squared_error(y, predicted)),
        "mean_average_error": Near(metrics.mean_absolute_error(y, predicted)),
        "mean_absolute_percentage_error": Near(
            metrics.mean_absolute_percentage_error(y, predicted)
        ),
        "r2_score": Near(metrics.r2_score(y, predicted)) if len(y) > 1 else None,
        "accuracy_without_retraining": None
        if unknown
        else Near(float((np.abs(others - y) <= tolerance).mean())),
    }


_REGRESSION = (
    *(
        "mean_squared_error",
        "root_mean_squared_error",
        "mean_average_error",
        "mean_absolute_percentage_error",
    ),
    *("r2_score", "accuracy_without_retraining"),
)


def is_null(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or is_nan(value)


def is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and math.isnan(value)


def text_of(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and math.isfinite(value) and value == int(value):
        return f"{int(value)}"
    return f"{value}"
