"""From a fitted candidate to how far its numbers are off: kept with the version."""

from lakehouse.models import Regression
from lakehouse.models.expected_error.expected_quality import AbsoluteErrors
from lakehouse.models.expected_error.spline_logistic import N_BINS
from lakehouse.retraining.policy.candidates.choice import Fitted
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.records import Rows
from lakehouse.retraining.policy.version import bins_of_unseen, counted_rows


def absolute_errors_of(record: PolicyRecord, fitted: Fitted, rows: Rows) -> AbsoluteErrors | None:
    """The cross-fitted absolute errors of a version, by error bin.

    Of the same rows, in the same bins, as the errors that its record counts (`record_of`): a row's
    bin is that of an expected error which has not seen the row.

    Args:
        record: the version's.
        fitted: the candidate, with the cross-fitted predictions.
        rows: those that it was cross-fitted on.

    Returns:
        None of a classifier, and where the record counts no row.
    """
    if not isinstance(rows.problem, Regression):
        return None
    own = rows.only(record.names)
    taken = counted_rows(fitted, own)
    kept, predictions = own.take(taken), fitted.predictions[taken]
    if not len(kept):
        return None
    places = bins_of_unseen(kept, predictions)
    return AbsoluteErrors.of(places, predictions - kept.labels, N_BINS)
