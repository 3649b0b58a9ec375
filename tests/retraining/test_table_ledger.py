"""Decisions come back from their rows as they were, whichever release wrote them."""

import datetime as dt

import numpy as np

from lakehouse.retraining.policy.decide import RETRAIN, Decision
from lakehouse.retraining.table_ledger import decision_of, row_of

BEGAN = np.datetime64("2024-03-01T10:00:00.000000")
DECISION = Decision(
    RETRAIN,
    "shiryaev_roberts",
    ("as sure as 1 in 50",),
    {"log_statistic": 4.5},
    BEGAN,
    (BEGAN - np.timedelta64(1, "h"), BEGAN + np.timedelta64(1, "h")),
    confidence=0.9,
)


def test_a_decision_comes_back_from_its_row_as_it_was():
    assert decision_of(row_of(DECISION)) == DECISION
    assert row_of(DECISION)["change_at"] == dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC)


def test_a_decision_of_an_older_release_has_its_confidence_in_its_evidence():
    row = row_of(DECISION) | {"gate_confidence": None}
    row["evidence"] = [*DECISION.evidence.items(), ("needed", 0.9), ("sure", 0.0)]
    assert decision_of(row) == DECISION
