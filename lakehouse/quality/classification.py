"""The additive facts of a classifier's quality, and the metrics that they give."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from lakehouse.profiling.coding import Coded, Values, coded
from lakehouse.profiling.columns import text_of
from lakehouse.quality.calibration import NO_CALIBRATION, Calibration, merged_calibration
from lakehouse.quality.confusion import accuracy, confusion_of, count_right, precision_recall_f1
from lakehouse.quality.first_model import accuracy_without_retraining, merged_right
from lakehouse.quality.scores import ScoreHistogram, macro_auc

CLIP = float(np.finfo(np.float64).eps)
"""Probabilities are kept this far from 0 and 1 before a logarithm, as in scikit-learn."""

METRICS = (
    "accuracy_score",
    "log_loss",
    "roc_auc_score",
    "confusion_matrix",
    "precision",
    "recall",
    "f1_score",
    "brier_score",
    "expected_calibration_error",
    "accuracy_without_retraining",
)


@dataclass(frozen=True)
class QualityFacts:
    """What is known of a classifier's quality; facts of parts merge to the facts of the whole.

    Grain: any set of predicted rows of one classifier. Only rows whose label has arrived are
    judged, and of these
    only rows with a whole vector of probabilities have a log loss, a Brier score and a place in the
    histograms.

    Attributes:
        classes: The texts of the classes, in the order of the probabilities' columns.
        positive: The class that a binary classifier looks for (classes that labels no longer have
            may stand beside its two); None with more classes.
        n_rows: Predicted rows.
        n_labelled: Rows with a label.
        n_scored: Rows with a label and probabilities.
        confusion: Labelled rows per (prediction, label).
        sum_log_loss: Sum of -ln P(label), in nats, clipped by CLIP; P = 0 outside `classes`.
        sum_brier: Sum of (P(positive) - 1[label is positive])^2 in the binary case; with more
            classes the sum over all classes of (P(class) - 1[label is class])^2 (Brier 1950;
            scikit-learn's scale_by_half="auto").
        histograms: Probabilities of the positive class, or of each of more than two classes.
        calibration: Scored rows by confidence; None where an older release did not count them.
        n_right_without_retraining: Rows that the first model gets right; None if not known of each.
    """

    classes: tuple[str, ...]
    positive: str | None
    histograms: dict[str, ScoreHistogram]
    confusion: dict[tuple[str, str], int]
    n_rows: int = 0
    n_labelled: int = 0
    n_scored: int = 0
    sum_log_loss: float = 0.0
    sum_brier: float = 0.0
    calibration: Calibration | None = NO_CALIBRATION
    n_right_without_retraining: int | None = 0

    @classmethod
    def of(
        cls,
        predictions: Values,
        labels: Values,
        probabilities: np.ndarray | pd.DataFrame | None,
        classes: Sequence[Any],
        positive: Any = None,
        without_retraining: Values | None = None,
    ) -> "QualityFacts":
        """The facts of predicted rows.

        Args:
            predictions: The predicted class of each row.
            labels: The true class of each row; missing where it has not arrived.
            probabilities: One row per prediction and one column per class, in the order of
                `classes`; None where the classifier gives none, NaN where a row has none.
            classes: All classes that the classifier knows.
            positive: The class that a binary classifier looks for; the last one by default.
            without_retraining: The first model's predictions; missing where it was not asked.

        Raises:
            ValueError: Lengths differ, a prediction is missing, a probability is outside [0, 1], or
                `positive` is not one of the classes.
        """
        nothing = cls.empty(classes, positive)
        _check_lengths(predictions, labels, without_retraining, probabilities, nothing.classes)
        predicted, actual = coded(predictions), coded(labels)
        if (predicted.codes < 0).any():
            raise ValueError("A prediction is missing: pass only rows that were predicted.")
        is_labelled = actual.codes >= 0
        facts = replace(
            nothing,
            n_rows=len(is_labelled),
            n_labelled=int(is_labelled.sum()),
            confusion=confusion_of(predicted, actual),
            n_right_without_retraining=_right(without_retraining, actual),
        )
        if probabilities is None:
            return facts
        places = actual.places_in(facts.classes)
        return facts._with_scores(
            np.asarray(probabilities, dtype=np.float64)[is_labelled], places[is_labelled]
        )

    @classmethod
    def empty(cls, classes: Sequence[Any], positive: Any = None) -> "QualityFacts":
        """The facts of no rows: what merging leaves as it is."""
        names = tuple(map(text_of, classes))
        chosen = names[-1] if positive is None and len(names) == 2 else positive
        if chosen is not None and text_of(chosen) not in names:
            raise ValueError(f"The positive class {chosen!r} must be one of the classes {names}.")
        judged = names if chosen is None else (text_of(chosen),)
        return cls(
            names,
            None if chosen is None else text_of(chosen),
            {name: ScoreHistogram() for name in judged},
            {},
        )

    @property
    def n_right(self) -> int:
        """Labelled rows whose prediction is the label."""
        return count_right(self.confusion)

    def merge(self, other: "QualityFacts") -> "QualityFacts":
        """The facts of both sets of rows together.

        Raises:
            ValueError: The facts are of classifiers with different classes.
        """
        if (self.classes, self.positive) != (other.classes, other.positive):
            raise ValueError(
                f"Facts of different classes cannot be merged: {self.classes} with positive "
                f"{self.positive!r} and {other.classes} with positive {other.positive!r}."
            )
        return replace(
            self,
            histograms={
                name: mine.merge(other.histograms[name]) for name, mine in self.histograms.items()
            },
            confusion=dict(Counter(self.confusion) + Counter(other.confusion)),
            n_rows=self.n_rows + other.n_rows,
            n_labelled=self.n_labelled + other.n_labelled,
            n_scored=self.n_scored + other.n_scored,
            sum_log_loss=self.sum_log_loss + other.sum_log_loss,
            sum_brier=self.sum_brier + other.sum_brier,
            calibration=merged_calibration(self.calibration, other.calibration),
            n_right_without_retraining=merged_right(self, other),
        )

    def to_row(self) -> dict[str, Any]:
        """The facts as plain values, for a Spark struct of the same field names."""
        return {
            **vars(self),
            "classes": list(self.classes),
            "confusion": confusion_matrix(self.confusion),
            "histograms": [
                {"class": name, **scores.to_row()} for name, scores in self.histograms.items()
            ],
            "calibration": None if self.calibration is None else self.calibration.to_rows(),
            "n_right": self.n_right,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "QualityFacts":
        """The facts that `to_row` wrote.

        What an older version did not write is unknown, unless there are no rows that it could be
        of. A struct that holds other models' facts, too, may have more fields.
        """
        plain = {
            field.name: row[field.name] for field in fields(cls) if field.name not in ADDED_LATER
        }
        return cls(
            **{
                **plain,
                "classes": tuple(row["classes"]),
                "confusion": {
                    (cell["prediction"], cell["label"]): cell["count"] for cell in row["confusion"]
                },
                "histograms": {
                    scores["class"]: ScoreHistogram.from_row(scores) for scores in row["histograms"]
                },
                "calibration": _calibration(row),
                "n_right_without_retraining": row.get(
                    "n_right_without_retraining", None if row["n_labelled"] else 0
                ),
            }
        )

    def _with_scores(self, probabilities: np.ndarray, places: np.ndarray) -> "QualityFacts":
        """The facts with the probabilities of labelled rows added, by place of each label."""
        scored = np.isfinite(probabilities).all(axis=1)
        scores = probabilities[scored]
        is_class = places[scored, None] == np.arange(len(self.classes))
        if ((scores < 0) | (scores > 1)).any():
            raise ValueError(
                "A probability is below 0 or above 1: pass what predict_proba returns."
            )
        true_scores = (scores * is_class).sum(axis=1)
        judged = [self.classes.index(name) for name in self.histograms]
        return replace(
            self,
            n_scored=int(scored.sum()),
            sum_log_loss=float(-np.log(np.clip(true_scores, CLIP, 1 - CLIP)).sum()),
            sum_brier=float(((scores[:, judged] - is_class[:, judged]) ** 2).sum()),
            histograms={
                self.classes[k]: ScoreHistogram.of(scores[:, k], is_class[:, k]) for k in judged
            },
            calibration=Calibration.of(scores, is_class),
        )


ADDED_LATER = ("calibration", "n_right_without_retraining")
"""Fields that a row of an older version lacks or has null."""


def confusion_matrix(confusion: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """The counts as {prediction, label, count}, sorted by prediction, then label."""
    return [{"prediction": p, "label": y, "count": n} for (p, y), n in sorted(confusion.items())]


def metrics_of(facts: QualityFacts) -> dict[str, Any]:
    """A classifier's columns of `profile_metrics`, by name; None where nothing is labelled.

    Losses, the AUC and the calibration error are None too where no labelled row has probabilities,
    the AUC also where labels are of one class only. The AUC is the positive class's, or the
    one-vs-rest mean of the classes that have labels.
    """
    if not facts.n_labelled:
        return dict.fromkeys(METRICS)
    return {
        "accuracy_score": accuracy(facts.confusion),
        "log_loss": facts.sum_log_loss / facts.n_scored if facts.n_scored else None,
        "roc_auc_score": macro_auc(facts.histograms.values()),
        "confusion_matrix": confusion_matrix(facts.confusion),
        **precision_recall_f1(facts.confusion),
        "brier_score": facts.sum_brier / facts.n_scored if facts.n_scored else None,
        "expected_calibration_error": None
        if facts.calibration is None
        else facts.calibration.error,
        "accuracy_without_retraining": accuracy_without_retraining(facts),
    }


def _check_lengths(
    predictions: Values,
    labels: Values,
    others: Values | None,
    probabilities: Any,
    classes: tuple[str, ...],
) -> None:
    for name, values in {"labels": labels, "predictions without retraining": others}.items():
        if values is not None and len(predictions) != len(values):
            raise ValueError(
                f"There are {len(predictions)} predictions and {len(values)} {name}: pass one of "
                "each per row."
            )
    if probabilities is not None and np.shape(probabilities) != (len(predictions), len(classes)):
        raise ValueError(
            f"Probabilities have the shape {np.shape(probabilities)}: pass {len(predictions)} rows "
            f"and one column for each of the classes {classes}."
        )


def _right(predictions: Values | None, actual: Coded) -> int | None:
    """Count the labelled rows that these predictions get right; None if one is missing."""
    is_labelled = actual.codes >= 0
    if predictions is None:
        return None if is_labelled.any() else 0
    predicted = coded(predictions)
    if (predicted.codes[is_labelled] < 0).any():
        return None
    return int((predicted.places_in(actual.texts)[is_labelled] == actual.codes[is_labelled]).sum())


def _calibration(row: Mapping[str, Any]) -> Calibration | None:
    bins = row.get("calibration")
    if bins is None:
        return None if row["n_scored"] else NO_CALIBRATION
    return Calibration.from_rows(bins)
