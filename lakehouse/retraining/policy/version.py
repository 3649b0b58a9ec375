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
from lakehouse.retraining.policy.candidates.strips import boundary_strips
from lakehouse.retraining.policy.decide import REFRESH, Decision
from lakehouse.retraining.policy.records import (
    BoundaryStrip,
    Errors,
    Region,
    RowRule,
    Rows,
    Segment,
    VersionRecord,
)


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
    taken = (fitted.weights > 0) & fitted.asked
    kept, predictions = rows.take(taken), fitted.predictions[taken]
    expected_error = fit_expected_error(kept, predictions)
    bins = _bins(expected_error, fitted, rows)
    if rows.problem.expects_by_errors:
        bins[taken] = _bins_of_unseen(kept, predictions)
    refreshed = champion if decision.action == REFRESH else None
    watched = (
        tuple(strip.region for strip in refreshed.strips if strip.region.is_of(rows))
        if refreshed
        else ()
    )
    regions, compared = watched or boundary_strips(kept, predictions), judged_rows(decision, rows)
    return VersionRecord(
        version=version,
        as_of=as_of,
        drift_period=refreshed.drift_period if refreshed else as_of,
        changed_at=decision.change_at,
        row_rule=fitted.row_rule,
        reference=_reference(fitted, refreshed, champion),
        since_change=int(compared.sum()),
        errors=_errors(bins, fitted, rows, taken),
        expected_error=expected_error,
        strips=tuple(_measured(region, bins, fitted, rows, taken) for region in regions),
        disputes=_disputes(bins, fitted, rows, compared),
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


def _bins_of_unseen(rows: Rows, predictions: np.ndarray) -> np.ndarray:
    """The same by an expected error that has not seen the row.

    An expected error that is fitted to errors finds those very rows hard: counted by it, the easy
    bins would have too few.
    """
    fold, found = fold_of(len(rows)), np.zeros(len(rows), dtype=np.int64)
    for out in range(FOLDS):
        own, others = fold == out, fold != out
        expected_error = fit_expected_error(rows.take(others), predictions[others])
        found[own] = bins_of(
            expected_error, rows.features[own], rows.problem.kind_of(predictions[own])
        )
    return found


def _measured(
    region: Region, bins: np.ndarray, fitted: Fitted, rows: Rows, taken: np.ndarray
) -> BoundaryStrip:
    """Count a version's errors in a boundary strip.

    Its expected error is too smooth for a narrow strip.
    """
    inside = taken & region.box(rows) & (rows.problem.kind_of(fitted.predictions) == region.code)
    return BoundaryStrip(region, _errors(bins, fitted, rows, inside))


def _disputes(
    bins: np.ndarray, fitted: Fitted, rows: Rows, judged: np.ndarray
) -> dict[int, Errors]:
    """Count this model's errors where it differs from each earlier version.

    Two models that differ are wrong there more often than their expected errors say.
    """
    on = {
        version: judged & fitted.asked & rows.problem.differ(fitted.predictions, predictions)
        for version, predictions in fitted.by_version.items()
    }
    return {version: _errors(bins, fitted, rows, differs) for version, differs in on.items()}


def _reference(
    fitted: Fitted, refreshed: VersionRecord | None, champion: VersionRecord | None
) -> int | None:
    """Return the version that shows the change: of one that goes on, that from before it began."""
    if fitted.candidate.moving is not None:
        return fitted.candidate.reference
    if refreshed:
        return refreshed.reference
    return champion.version if champion else None


def restored(
    record: VersionRecord,
    row_rule: RowRule,
    fitted: Fitted,
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
        fitted: the chosen candidate: itself.
        decision: that asked for a training.
        as_of: newest label time that had landed.
        rows: those that it was compared on.
    """
    judged = judged_rows(decision, rows)
    return replace(
        record,
        as_of=as_of,
        drift_period=as_of,
        changed_at=decision.change_at,
        reference=record.version,
        row_rule=row_rule.plus(Segment(decision.change_at)),
        since_change=int(judged.sum()),
        disputes=_disputes(_bins(record.expected_error, fitted, rows), fitted, rows, judged),
    )


def archived(
    archive: Mapping[int, RowRule], champion: VersionRecord, change_at: np.datetime64 | None
) -> dict[int, RowRule]:
    """The archive after an alarm was answered: the champion before comes last, with its rows up to
    the change.
    """
    kept = {
        version: row_rule for version, row_rule in archive.items() if version != champion.version
    }
    return kept | {
        champion.version: champion.row_rule
        if change_at is None
        else champion.row_rule.until(change_at)
    }


def _errors(bins: np.ndarray, fitted: Fitted, rows: Rows, where: np.ndarray) -> Errors:
    """The errors of the candidate's cross-fitted predictions on the rows of a mask."""
    place, wrong = bins[where], rows.wrong(fitted.predictions)[where]
    size = len(rows.problem.kinds) * N_BINS
    return Errors(np.bincount(place, minlength=size).astype(float), np.bincount(place, wrong, size))
