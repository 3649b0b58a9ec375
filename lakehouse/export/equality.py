"""Is an exported model the one that it was made of? Rows to ask both, and how they differ."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from sklearn.pipeline import Pipeline

from lakehouse.export.graph import NUMBERS, PREDICTION, PROBABILITIES, TEXTS
from lakehouse.models import Classification, Features, Problem
from lakehouse.models.flat import trees_of

MOST_THRESHOLDS = 10_000
ROUNDING = 1e-9
"""Numbers that differ by more than this part of themselves (at least of one) are two calls."""


@dataclass(frozen=True)
class Equality:
    """What was compared.

    Attributes:
        training_rows: rows of the training.
        threshold_rows: rows on both sides of thresholds, with nulls, and at the ends of float32.
        greatest_difference: of two outputs.
        calls_that_differ: rows that the two give another class, or another number beyond
            `ROUNDING`.
    """

    training_rows: int
    threshold_rows: int
    greatest_difference: float
    calls_that_differ: int

    @property
    def as_json(self) -> dict[str, Any]:
        """As it is kept beside the model."""
        return asdict(self)


def compared(
    pipeline: Pipeline,
    session: onnxruntime.InferenceSession,
    features: Features,
    problem: Problem,
    training: pd.DataFrame,
    missing: Iterable[str],
) -> Equality:
    """Ask both models about the rows of the training and the rows at thresholds.

    Args:
        pipeline: the model on record.
        session: the exported one.
        features: that both read.
        problem: that both solve.
        training: rows of the training, as `features.frame` gives them.
        missing: for each text feature, the text that stands for a missing one.
    """
    edges = threshold_rows(pipeline, features, training)
    rows = features.frame(pd.concat([training, edges], ignore_index=True))
    expected = problem.outputs(pipeline, rows)
    predicted, outputs = answers_of(session, rows, features, problem, missing)
    differences = np.abs(expected - outputs)
    if isinstance(problem, Classification):
        differ = problem.predicted(expected) != predicted
    else:
        differ = ~np.isclose(expected, predicted, rtol=ROUNDING, atol=ROUNDING)
    greatest = float(differences.max(initial=0.0))
    return Equality(len(training), len(edges), greatest, int(differ.sum()))


def answers_of(
    session: onnxruntime.InferenceSession,
    rows: pd.DataFrame,
    features: Features,
    problem: Problem,
    missing: Iterable[str],
) -> tuple[np.ndarray, np.ndarray]:
    """What an exported model says of rows: predictions, and outputs as the problem has them."""
    given = {}
    if features.numeric:
        given[NUMBERS] = rows[list(features.numeric)].to_numpy(np.float64)
    if features.categorical:
        columns = zip(features.categorical, missing, strict=True)
        texts = [rows[name].where(rows[name].notna(), text).astype(str) for name, text in columns]
        given[TEXTS] = np.stack([each.to_numpy(object) for each in texts], axis=1)
    if isinstance(problem, Classification):
        predicted, outputs = session.run([PREDICTION, PROBABILITIES], given)
        return np.asarray(predicted), np.asarray(outputs)
    (numbers,) = session.run([PREDICTION], given)
    return np.asarray(numbers), np.asarray(numbers)


def session_of(content: bytes) -> onnxruntime.InferenceSession:
    """An ONNX model that answers, in one thread: its sums have one order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def threshold_rows(pipeline: Pipeline, features: Features, training: pd.DataFrame) -> pd.DataFrame:
    """Rows where two models that round differently would part.

    For each threshold of a tree, at most `MOST_THRESHOLDS` of them spread evenly, the rows of the
    training in turn, with the feature at the threshold and at the next numbers below and above it,
    in float64 and in float32. Then for each feature a row without it, numbers also at zero and at
    both ends of float32, and a text that no training had.
    """
    parts = [
        _with(training, features.numeric[feature], values)
        for feature, values in _neighbours(pipeline, features)
    ]
    ends = np.array([np.nan, 0.0, *np.finfo(np.float32).max * np.array([-1.0, 1.0]), 1e300])
    parts += [_with(training, name, ends) for name in features.numeric]
    texts = np.array([None, "", "a text that no training had"], dtype=object)
    parts += [_with(training, name, texts) for name in features.categorical]
    return pd.concat(parts, ignore_index=True)


def _with(training: pd.DataFrame, name: str, values: np.ndarray) -> pd.DataFrame:
    """Rows of the training in turn, with other values of one feature."""
    rows = training.iloc[np.arange(len(values)) % len(training)].reset_index(drop=True)
    return rows.assign(**{name: values})


def _neighbours(pipeline: Pipeline, features: Features) -> Iterable[tuple[int, np.ndarray]]:
    """For each numeric feature with thresholds, these and the numbers next to them."""
    pairs = thresholds_of(pipeline[-1])
    # Numeric features come first in what trees read, as they are.
    pairs = pairs[pairs[:, 0] < len(features.numeric)]
    if len(pairs) > MOST_THRESHOLDS:
        pairs = pairs[np.linspace(0, len(pairs) - 1, MOST_THRESHOLDS).astype(int)]
    for feature in np.unique(pairs[:, 0]).astype(int):
        at = pairs[pairs[:, 0] == feature, 1]
        single = at.astype(np.float32)
        near = [at, single]
        near += [
            np.nextafter(each, each.dtype.type(end)) for each in near for end in (-np.inf, np.inf)
        ]
        yield feature, np.unique(np.concatenate([each.astype(np.float64) for each in near]))


def thresholds_of(model: Any) -> np.ndarray:
    """The thresholds of a model's trees: pairs of feature and threshold, each once, in order."""
    trees = [tree for tree, _ in trees_of(model)]
    found = [np.stack([tree.feature, tree.threshold], 1)[~tree.is_leaf] for tree in trees]
    return np.unique(np.concatenate([np.zeros((0, 2)), *found]), axis=0)
