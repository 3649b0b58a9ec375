"""What is read of the ledgers comes to the same state as all of them, and stops growing."""

from dataclasses import replace

import numpy as np
import pytest

from lakehouse.retraining.policy.history import (
    PromotionEntry,
    history_of,
    newest_entries,
    reach_back,
)
from lakehouse.versions.actions import ROLLBACK
from tests.support.turning import TURNING_DAYS, turned

DAY = np.timedelta64(86_400_000_000, "us")


@pytest.fixture(scope="module")
def ledger():
    return turned()


def since(entries, moment):
    return [each for each in entries if moment is None or each.as_of >= moment]


def until(entries, moment):
    return [each for each in entries if each.as_of <= moment]


def test_the_entries_that_are_read_come_to_the_history_of_all(ledger):
    first, pruned = ledger.decisions[0].as_of, 0
    for night in [entry.as_of for entry in ledger.decisions]:
        promotions, decisions = until(ledger.promotions, night), until(ledger.decisions, night)
        read = newest_entries(
            lambda moment, both=(promotions, decisions): tuple(since(x, moment) for x in both),
            first,
            night,
        )
        assert repr(history_of(*read)) == repr(history_of(promotions, decisions)), night
        pruned += len(read[1]) < len(decisions)
    assert pruned > TURNING_DAYS / 4


def test_entries_reach_back_only_where_they_come_to_the_history_of_all(ledger):
    whole, enough = history_of(ledger.promotions, ledger.decisions), []
    for moment in sorted({entry.as_of for entry in ledger.decisions}):
        found = since(ledger.promotions, moment), since(ledger.decisions, moment)
        if reach_back(*found, moment):
            enough.append(moment)
            assert repr(history_of(*found)) == repr(whole), moment
    assert 0 < len(enough) < len(ledger.decisions)


def test_a_version_that_came_back_and_is_not_among_the_entries_asks_for_older_ones(ledger):
    moment = ledger.decisions[-1].as_of - 100 * DAY
    old = next(entry for entry in ledger.promotions if entry.as_of < moment and entry.record)
    later = since(ledger.promotions, moment)
    assert reach_back(later, ledger.decisions, moment)
    returned = PromotionEntry(later[0].as_of, ROLLBACK, version=old.version)
    assert not reach_back([returned, *later], ledger.decisions, moment)


def test_a_drift_period_that_began_before_the_entries_asks_for_older_ones(ledger):
    moment = ledger.decisions[-1].as_of - 100 * DAY
    later = since(ledger.promotions, moment)
    first = next(entry for entry in later if entry.record is not None)
    version = replace(first.record.version, drift_period=moment - DAY)
    refreshed = replace(first, record=replace(first.record, version=version))
    back = PromotionEntry(later[-1].as_of, ROLLBACK, version=first.version)
    others = [entry for entry in later if entry is not first]
    assert reach_back([first, *others], ledger.decisions, moment)
    assert not reach_back([refreshed, *others, back], ledger.decisions, moment)


def test_fewer_than_two_trials_ask_for_older_entries(ledger):
    moment = ledger.decisions[-1].as_of - 100 * DAY
    assert not reach_back(since(ledger.promotions, moment), [], moment)
