"""Decisions come back from their rows as they were, whichever release wrote them; of both tables
the newest rows are read, as many as come to the same state as all.
"""

import datetime as dt

import numpy as np
import pytest

from lakehouse.instants import moment_of
from lakehouse.retraining.policy.decide import RETRAIN, Decision
from lakehouse.retraining.policy.history import history_of
from lakehouse.retraining.table_ledger import TableLedger, decision_of, row_of
from lakehouse.versions.actions import PROMOTE
from lakehouse.versions.ledger import PromotionLedger
from tests.support.kept_ledgers import KeptLedgers
from tests.support.turning import turned

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


@pytest.fixture(scope="module")
def ledger():
    return turned()


@pytest.fixture(scope="module")
def kept(ledger, spark, tmp_path_factory):
    kept = KeptLedgers(spark, str(tmp_path_factory.mktemp("ledgers")))
    kept.write(ledger, [entry.as_of for entry in ledger.decisions])
    return kept.lakehouse


def test_the_rows_that_are_read_come_to_the_history_of_all(ledger, kept):
    read, whole = TableLedger(kept), history_of(ledger.promotions, ledger.decisions)
    assert repr(read.history) == repr(whole)
    assert len(read.versions.newest) < len(read.versions.rows) == len(ledger.promotions)
    assert len(read.decisions) < len(ledger.decisions) / 2
    assert max(each.as_of for each in read.decisions) == ledger.decisions[-1].as_of
    assert read.versions.champion == str(whole.champion)


def test_small_files_of_the_ledgers_become_one(kept):
    for table in (kept.catalog.decision, kept.catalog.promotion):
        assert kept.store.span(table, "as_of") is not None
        assert len(kept.store._files(table)) <= 51


def test_a_version_promoted_before_the_rows_that_are_read_is_found(ledger, kept):
    first = next(entry for entry in ledger.promotions if entry.action == PROMOTE)
    read = TableLedger(kept).versions
    assert all(row["to_version"] != str(first.version) for row in read.newest)
    assert read.promotion_of(str(first.version))["as_of"] == PromotionLedger(kept).rows[0]["as_of"]
    assert read.promoted_versions == PromotionLedger(kept).promoted_versions


def test_an_approval_that_was_written_late_is_read_in_write_order(ledger, spark, tmp_path):
    other = KeptLedgers(spark, str(tmp_path))
    other.write(ledger, [entry.as_of for entry in ledger.decisions[:30]])
    lakehouse, nights = other.lakehouse, [entry.as_of for entry in ledger.decisions]
    old = next(entry for entry in ledger.promotions if entry.action == PROMOTE)
    PromotionLedger(lakehouse).record(
        {"as_of": moment_of(old.as_of), "action": PROMOTE, "who": "ada", "to_version": "99"}
    )
    since = moment_of(nights[25])
    assert PromotionLedger(lakehouse, since).champion == "99"
    assert [row["to_version"] for row in PromotionLedger(lakehouse, since).newest][-1] == "99"
