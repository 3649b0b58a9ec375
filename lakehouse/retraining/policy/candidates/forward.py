"""Which rows has it been best to train on lately? Candidates by what they would have predicted."""

from collections.abc import Mapping, Sequence

import numpy as np

from lakehouse.retraining.policy.candidates.choice import (
    Candidate,
    Learner,
    fit_to,
    row_rule_of,
)
from lakehouse.retraining.policy.gate import compare
from lakehouse.retraining.policy.records import Rows

_SPAN = np.timedelta64(28, "D")
"""How far back candidates are compared: windows of a month have to show what they are worth on as
much, and what was best before that says little of now."""
_BLOCKS = 6
"""Stretches that the compared rows are cut into; a model is fitted before each but the first, which
says nothing of a candidate that takes new rows alone."""
_PREFERENCE = 0.8
"""A later candidate must be better with this probability: less than at an alarm, since hundreds of
rows are compared, not tens."""


def forward_choice(
    candidates: Sequence[Candidate],
    rows: Rows,
    judged: np.ndarray,
    predictions: Mapping[int, np.ndarray],
    learner: Learner,
) -> Candidate | None:
    """Return the candidate whose models would have predicted best on the newest judged rows.

    Cross-fitting cannot compare stretches of time: a row of last week is predicted well by its
    neighbours on both sides, and the rows to come have neighbours on one. So each block of rows is
    predicted by a model that is fitted to the labels that were there when the block began, as in
    production. Source: Dawid, JRSS A 147 (1984), prequential evaluation.

    Args:
        candidates: what is tried, in the order of what usually is best.
        rows: all that may be taken, in order of event time.
        judged: mask of the rows since the change.
        predictions: what the versions that candidates name predict for the rows.
        learner: fits a model.

    Returns:
        None where the rows since the change are too few, or come with too few label batches: at
        least half of them must have had a label before a block that is compared.
    """
    newest = np.flatnonzero(judged & (rows.event_time > rows.event_time[-1] - _SPAN))
    known = [(block, _known_at(rows, block)) for block in np.array_split(newest, _BLOCKS)[1:]]
    half = judged.sum() / 2
    known = [(block, before) for block, before in known if (judged & before).sum() >= half]
    if not known:
        return None
    chosen: tuple[Candidate, np.ndarray] | None = None
    on = np.concatenate([block for block, _ in known])
    for candidate in candidates:
        version = candidate.reference if candidate.version is None else candidate.version
        reference = None if version is None else predictions[version]
        predicted = _forward(candidate, rows, known, reference, learner)
        if predicted is None:
            continue
        if chosen is None or _is_better(rows, on, chosen[1], predicted):
            chosen = candidate, predicted
    return None if chosen is None else chosen[0]


def _known_at(rows: Rows, block: np.ndarray) -> np.ndarray:
    """Return which rows had a label when the block's first row was made."""
    if not len(block):
        return np.zeros(len(rows), dtype=bool)
    return np.asarray(rows.label_time <= rows.event_time[block[0]])


def _forward(
    candidate: Candidate,
    rows: Rows,
    known: Sequence[tuple[np.ndarray, np.ndarray]],
    reference: np.ndarray | None,
    learner: Learner,
) -> np.ndarray | None:
    """Predict each block by a model of the rows that were known before it; None where one cannot
    be fitted.
    """
    if candidate.version is not None:
        return reference
    predicted = rows.problem.unknown(len(rows))
    for block, before in known:
        _, weights = row_rule_of(candidate, rows, reference, before)
        model = fit_to(rows, np.where(before, weights, 0.0), learner)
        if model is None:
            return None
        predicted[block] = model.predict(rows.features[block])
    return predicted


def _is_better(rows: Rows, on: np.ndarray, chosen: np.ndarray, other: np.ndarray) -> bool:
    found = compare(rows.problem, rows.labels[on], chosen[on], other[on])
    return found.better > _PREFERENCE
