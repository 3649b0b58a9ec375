"""When labels are overdue: the same by the rule in Python and by its SQL."""

import datetime as dt

import duckdb
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.labels.overdue import OverdueRule

START, HOUR = np.datetime64("2024-03-01T00:00:00", "us"), np.timedelta64(1, "h")
DAY = np.timedelta64(1, "D")
RULE = OverdueRule(dt.timedelta(days=3), 0.5)


def coverage(*shares: float) -> dict[np.datetime64, float]:
    return {START + n * HOUR: share for n, share in enumerate(shares)}


def test_an_outage_is_blind_since_the_first_hour_that_stayed_without_labels():
    now = START + 4 * DAY
    assert RULE.outage_since(now, coverage(1, 1, 0, 0.1, 0)) == START + 2 * HOUR
    assert RULE.outage_since(now, coverage(1, 0, 0, 1, 1)) is None


def test_labels_that_are_not_due_yet_are_no_outage():
    assert RULE.outage_since(START + 3 * DAY, coverage(1, 0, 0)) is None
    assert RULE.outage_since(START + 3 * DAY + HOUR, coverage(1, 0, 0)) == START + HOUR


@given(st.floats(0, 1), st.integers(0, 100))
def test_its_sql_says_the_same(share: float, hours: int):
    now = START + hours * HOUR
    sql = RULE.sql(f"TIMESTAMP '{START.item()}'", repr(share), f"TIMESTAMP '{now.item()}'")
    [[found]] = duckdb.sql(f"SELECT {sql}").fetchall()
    assert found == (RULE.outage_since(now, {START: share}) is not None)
