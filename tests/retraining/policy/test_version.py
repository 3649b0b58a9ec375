"""What is recorded of a version: how often it errs where labels are noisy, and nothing more rosy."""

import numpy as np

from lakehouse.models.expected_error.spline_logistic import N_BINS
from lakehouse.retraining.policy.candidates.choice import Candidate, cross_fit
from lakehouse.retraining.policy.decide import RETRAIN, Decision
from lakehouse.retraining.policy.records import RowRule, Segment, VersionRecord
from lakehouse.retraining.policy.version import record_of
from tests.support.policy_rows import record, rows
from tests.support.trees import fit_tree

NOISE, COUNT, CHANGE = 0.1, 4_000, 3_500


def answered(seed: int) -> tuple[VersionRecord, float]:
    """A transfer's record after most of the range has changed, under label noise; and the true
    rate at which its out-of-fold predictions of new rows are wrong.
    """
    random = np.random.default_rng(seed)
    values = random.uniform(350, 360, (COUNT, 2))
    new = np.arange(COUNT) >= CHANGE
    true = np.where(new, values[:, 0] > 359, values[:, 0] > 351)
    given = rows(values, (true ^ (random.random(COUNT) < NOISE)).astype(int))
    changed_at = given.event_time[CHANGE]
    old_rule = (values[:, 0] > 351).astype(int)
    transfer = Candidate(
        "transfer", RowRule((Segment(None, changed_at),)), 1, changed_at, weight=3.0
    )
    fitted = cross_fit(transfer, given, new, {1: old_rule}, fit_tree)
    decision = Decision(RETRAIN, "a rule", (), change_at=changed_at)
    made = record_of(2, fitted, decision, given.label_time[-1], given, record())
    return made, float((fitted.predictions != given.labels)[new].mean())


def test_expected_errors_are_counted_without_rows_that_were_selected_to_agree():
    for seed in range(5):
        made, true = answered(seed)
        wrong, judged = made.errors.wrong, made.errors.judged
        assert made.row_rule.segments[0].without
        assert 0.08 < wrong.sum() / judged.sum() < 0.14
        of_contradicted = slice(0, N_BINS)  # what the new rule says there
        rate = wrong[of_contradicted].sum() / judged[of_contradicted].sum()
        assert 0.07 < rate < 0.14
        assert abs(rate - true) < 0.03
