"""Records that contradict each other are told by their ids, others are not."""

import datetime as dt
from typing import Any

import pytest

from lakehouse.verification.agreement import (
    alias_against_promotions,
    batches_against_ledger,
    chain_of_promotions,
    decisions_of_promotions,
)
from lakehouse.versions.actions import LOOP

MIDNIGHT = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)


def batch(number: int, version: str, **more: Any) -> dict[str, Any]:
    return {"query_id": "q", "batch_id": number, "model_version": version, **more}


def move(day: int, action: str, before: str | None, after: str) -> dict[str, Any]:
    at = MIDNIGHT + dt.timedelta(days=day)
    own = {"action": action, "from_version": before, "to_version": after, "who": LOOP}
    return {"as_of": at, "recorded_at": at, **own}


PROMOTIONS = [
    move(0, "promote", None, "1"),
    move(1, "refuse", "1", "2"),
    move(2, "promote", "1", "3"),
    move(3, "rollback", "3", "1"),
]


def test_batches_that_the_ledger_knows_agree():
    ledger = [batch(0, "1"), batch(1, "2"), batch(2, "2")]
    batches = [batch(0, "1", rows=5), batch(1, "2", rows=5)]  # batch 2 is yet to be scored
    assert list(batches_against_ledger(batches, ledger)) == [("q/0", ""), ("q/1", "")]


@pytest.mark.parametrize(
    ("batches", "ledger", "words"),
    [
        ([batch(0, "2", rows=5)], [batch(0, "1")], "5 rows are of version 2, on record is 1"),
        ([batch(0, "2", rows=5)], [], "on record is none"),
        ([batch(0, "1", rows=5)], [batch(0, "1"), batch(0, "1")], "on record is 1 and 1"),
        ([batch(0, "1", rows=2), batch(0, "2", rows=3)], [batch(0, "1")], "several versions"),
    ],
)
def test_a_batch_of_another_version_than_on_record_is_told(
    batches: list[dict[str, Any]], ledger: list[dict[str, Any]], words: str
):
    found = [told for _, told in batches_against_ledger(batches, ledger)]
    assert all(words in told for told in found) and found


def test_each_promotion_takes_over_from_the_one_before():
    assert [words for _, words in chain_of_promotions(PROMOTIONS)] == ["", "", ""]


def test_a_promotion_that_is_missing_from_the_chain_is_told_of_the_next_one():
    without = [PROMOTIONS[0], *PROMOTIONS[3:]]
    assert dict(chain_of_promotions(without)) == {
        "promotion/2024-03-01/promote/1": "",
        "promotion/2024-03-04/rollback/1": "it takes over from version 3, and version 1 was in "
        "production",
    }


def test_a_verdict_of_the_loop_needs_a_decision():
    decisions = [{"as_of": row["as_of"]} for row in PROMOTIONS[:3]]
    told = [words for _, words in decisions_of_promotions(PROMOTIONS, decisions)]
    assert told == ["", "", "", "no decision has its as-of"]
    by_hand = [{**row, "who": "ann"} for row in PROMOTIONS]
    assert not list(decisions_of_promotions(by_hand, []))


@pytest.mark.parametrize(
    ("alias", "rows", "words"),
    [
        ("1", PROMOTIONS, ""),
        ("3", PROMOTIONS, "it names version 3, gold.promotion says 1"),
        (None, PROMOTIONS, "it names version none, gold.promotion says 1"),
        (None, [], ""),
    ],
)
def test_the_alias_names_the_version_that_took_over_last(
    alias: str | None, rows: list[dict[str, Any]], words: str
):
    assert alias_against_promotions(alias, rows) == ("champion", words)
