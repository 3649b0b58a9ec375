"""Records that contradict each other are told by their ids, others are not."""

import datetime as dt
from typing import Any

import pytest

from lakehouse.rollouts.arms import answers
from lakehouse.verification.agreement import (
    alias_against_promotions,
    arms_of_rows,
    batches_against_ledger,
    chain_of_promotions,
    decisions_of_promotions,
    ends_of_rollouts,
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


CANARY = {"challenger_version": "2", "challenger_share": 0.5, "rollout_id": "small-2-1"}


def test_a_batch_of_a_rollout_may_have_rows_of_both_versions_and_of_no_third():
    ledger = [batch(0, "1", **CANARY)]
    both = [batch(0, "1", rows=2), batch(0, "2", rows=3)]
    assert list(batches_against_ledger(both, ledger)) == [("q/0", "")]
    third = [*both, batch(0, "3", rows=4)]
    [(_, words)] = batches_against_ledger(third, ledger)
    assert words == "4 rows are of version 3, on record is 1"


def scored(key: int, version: str, error: str | None = None) -> dict[str, Any]:
    return batch(0, version, id=key, error=error)


def test_rows_of_a_rollout_are_of_their_arm_unless_the_challenger_gave_no_answer():
    ledger = [batch(0, "1", **CANARY), batch(1, "1", challenger_version=None)]
    fine = [scored(key, "2" if answers("small-2-1", key, 0.5) else "1") for key in range(40)]
    assert list(arms_of_rows(fine, ledger, "id")) == [("small-2-1", "")]
    fallen = [scored(key, "1", "ValueError") for key in range(40)]
    assert list(arms_of_rows(fallen, ledger, "id")) == [("small-2-1", "")]
    [(_, words)] = arms_of_rows([scored(key, "1") for key in range(40)], ledger, "id")
    in_arm = [key for key in range(40) if answers("small-2-1", key, 0.5)]
    first = f"the first is id {in_arm[0]}"
    assert words == f"{len(in_arm)} rows are not of their arm's version; {first}"


def step(action: str, minute: int) -> dict[str, Any]:
    at = MIDNIGHT + dt.timedelta(minutes=minute)
    own = {"rollout_id": "small-2-1", "strategy": "canary", "champion": "1", "challenger": "2"}
    return {**own, "action": action, "share": 0.5, "as_of": at, "recorded_at": at, "reason": ""}


def told(*actions: str) -> list[dict[str, Any]]:
    rows = [move(day, action, "1", "2") for day, action in enumerate(actions)]
    return [{**row, "rollout_id": "small-2-1"} for row in rows]


@pytest.mark.parametrize(
    ("steps", "actions"),
    [
        (["start"], ["rollout"]),
        (["start", "step", "abort"], ["rollout", "refuse"]),
        (["start", "finish"], ["rollout", "promote"]),
        (["start", "finish"], ["rollout", "pending", "promote"]),
    ],
)
def test_both_records_of_a_rollout_agree(steps: list[str], actions: list[str]):
    rows = [step(action, minute) for minute, action in enumerate(steps)]
    assert list(ends_of_rollouts(rows, told(*actions))) == [("small-2-1", "")]


@pytest.mark.parametrize(
    ("steps", "actions", "words"),
    [
        (["start", "abort"], ["rollout"], "gold.rollout has abort, gold.promotion rollout"),
        (["start", "abort"], ["rollout", "promote"], "gold.promotion rollout and promote"),
        (["start"], ["rollout", "promote"], "gold.rollout has a rollout that runs"),
        ([], ["rollout"], "gold.rollout has no rollout"),
        (["start"], [], "gold.promotion no row"),
    ],
)
def test_a_rollout_that_one_record_tells_otherwise_is_told(
    steps: list[str], actions: list[str], words: str
):
    rows = [step(action, minute) for minute, action in enumerate(steps)]
    [(_, found)] = ends_of_rollouts(rows, told(*actions))
    assert words in found
