"""From a fitted candidate to a version's record: what it was fit on, how often it errs, which
change it answers.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lakehouse.models.expected_error.spline_logistic import (
    N_BINS,
    SplineLogistic,
    bins_of,
    fit_spline_logistic,
)
from lakehouse.retraining.policy.candidates.choice import FOLDS, Fitted, fold_of
from lakehouse.retraining.policy.decide import REFRESH, Decision
from lakehouse.retraining.policy.records import (
    Errors,
    RowRule,
    Rows,
    Segment,
    VersionRecord,
)

MOST_ARCHIVED = 5
"""Champions of earlier drift periods whose rows are on record: the last one, which a change is told
by, and four whose rule may be back."""


def judged_rows(decision: Decision, rows: Rows) -> np.ndarray:
    """Mask of the rows that candidates are compared on: those since the change; all, where there
    was none.
    """
    return (
        np.ones(len(rows), bool)
        if decision.change_at is None
        else rows.event_time >= decision.change_at
    )


def record_of(
    version: int,
    fitted: Fitted,
    decision: Decision,
    as_of: np.datetime64,
    rows: Rows,
    champion: VersionRecord | None,
) -> VersionRecord:
    """The record of a newly trained version.

    Args:
        version: its number.
        fitted: the chosen candidate, cross-fitted.
        decision: that asked for the training.
        as_of: newest label time that had landed.
        rows: those that it was cross-fitted on.
        champion: record of the version in production; None before the first.
    """
    taken = counted_rows(fitted, rows)
    kept, predictions = rows.take(taken), fitted.predictions[taken]
    expected_error = fit_expected_error(kept, predictions)
    bins = _bins(expected_error, fitted, rows)
    if rows.problem.expects_by_errors:
        bins[taken] = bins_of_unseen(kept, predictions)
    refreshed = champion if decision.action == REFRESH else None
    compared = judged_rows(decision, rows)
    return VersionRecord(
        version=version,
        as_of=as_of,
        drift_period=refreshed.drift_period if refreshed else as_of,
        changed_at=decision.change_at,
        row_rule=fitted.row_rule,
        reference=refreshed.reference if refreshed else champion.version if champion else None,
        since_change=int(compared.sum()),
        errors=_errors(bins, fitted, rows, taken),
        expected_error=expected_error,
    )


def fit_expected_error(rows: Rows, predictions: np.ndarray) -> SplineLogistic:
    """The model of P(a prediction is wrong), by the features: of classes by P(class), of numbers by
    P(wrong) itself.
    """
    events = rows.problem.events(predictions, rows.labels)
    return fit_spline_logistic(rows.features, events, max(len(rows.problem.kinds), 2))


def _bins(expected_error: SplineLogistic, fitted: Fitted, rows: Rows) -> np.ndarray:
    """In which bins of the expected error the candidate's predictions are; 0 where it has none."""
    asked, found = fitted.asked, np.zeros(len(rows), dtype=np.int64)
    found[asked] = bins_of(
        expected_error, rows.features[asked], rows.problem.kind_of(fitted.predictions[asked])
    )
    return found


def counted_rows(fitted: Fitted, rows: Rows) -> np.ndarray:
    """Return the mask of the rows by which a version's errors are counted: those that it was
    cross-fitted on, without those that were selected to agree with it.
    """
    return np.asarray((fitted.weights > 0) & fitted.asked & ~fitted.row_rule.thinned(rows))


def bins_of_unseen(rows: Rows, predictions: np.ndarray) -> np.ndarray:
    """Return each prediction's bin, by an expected error that has not seen the row.

    An expected error that is fitted to errors finds those very rows hard: counted by it, the easy
    bins would have too few.
    """
    fold, found = fold_of(np.ones(len(rows), dtype=bool)), np.zeros(len(rows), dtype=np.int64)
    for out in range(FOLDS):
        own, others = fold == out, fold != out
        expected_error = fit_expected_error(rows.take(others), predictions[others])
        found[own] = bins_of(
            expected_error, rows.features[own], rows.problem.kind_of(predictions[own])
        )
    return found


def restored(
    record: VersionRecord,
    row_rule: RowRule,
    decision: Decision,
    as_of: np.datetime64,
    rows: Rows,
) -> VersionRecord:
    """The record of an archived version that is brought back as it is.

    It is held against its own expected errors again; what it is refreshed from is its own row rule
    and the rows since.

    Args:
        record: as it was.
        row_rule: its rows up to the change that ended its drift period.
        decision: that asked for a training.
        as_of: newest label time that had landed.
        rows: those that it was compared on.
    """
    return replace(
        record,
        as_of=as_of,
        drift_period=as_of,
        changed_at=decision.change_at,
        reference=record.version,
        row_rule=row_rule.plus(Segment(decision.change_at)).bounded(),
        since_change=int(judged_rows(decision, rows).sum()),
    )


def archived(
    archive: Mapping[int, RowRule], champion: VersionRecord, change_at: np.datetime64 | None
) -> dict[int, RowRule]:
    """The archive after an alarm was answered: the champion before comes last, with its rows up to
    the change; only the newest `MOST_ARCHIVED` are kept.
    """
    kept = {
        version: row_rule for version, row_rule in archive.items() if version != champion.version
    }
    last = champion.row_rule if change_at is None else champion.row_rule.until(change_at)
    return dict(list((kept | {champion.version: last}).items())[-MOST_ARCHIVED:])


def _errors(bins: np.ndarray, fitted: Fitted, rows: Rows, where: np.ndarray) -> Errors:
    """The errors of the candidate's cross-fitted predictions on the rows of a mask."""
    place, wrong = bins[where], rows.wrong(fitted.predictions)[where]
    size = len(rows.problem.kinds) * N_BINS
    return Errors(np.bincount(place, minlength=size).astype(float), np.bincount(place, wrong, size))
