"""With `approval: manual`, a challenger that passes the gate waits for a person's word; both are on
record.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import LockedError, RegistryError
from lakehouse.instants import instant
from lakehouse.retraining.policy.decide import KEEP, RETRAIN, TRAIN_FIRST, WAIT, Decision
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.retraining.table_ledger import TableLedger
from lakehouse.settings import load_model_settings
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.promotion import answer
from tests.support.engines import Engines, duckdb_of, known_to_spark
from tests.support.opened import opened
from tests.support.rows import decisions, moment, policy_history, promotions, registered
from tests.support.small_model import Settings, at
from tests.support.written import (
    A_DAY,
    CHANGED,
    a_day_of_second,
    aggregate,
    copy_of,
    second_version,
    told_at,
    train,
    with_model,
    write_labels,
)

PENDING_SINCE = told_at(6 * A_DAY - 1)


def asks_nobody(settings: Settings) -> None:
    """The gate's word is enough, and rows that have grown are a reason to train again."""
    settings["policy"] = {"price": 0.01, "rules": [{"rule": "scheduled", "every": "365 days"}]}


def asks_a_person(settings: Settings) -> None:
    asks_nobody(settings)
    settings["approval"] = "manual"


@pytest.fixture(scope="module")
def works(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Version 3 was refused, and version 4, as of the same labels, waits for a person."""
    root = tmp_path_factory.mktemp("approval")
    before = second_version(spark, root / "before")
    a_day_of_second(before)
    lakehouse = copy_of(before, root / "lake", asks_a_person)
    train(lakehouse, PENDING_SINCE, at(CHANGED), passed=False)
    train(lakehouse, PENDING_SINCE)
    return lakehouse


@pytest.fixture
def waiting(works: Lakehouse, tmp_path: Path) -> Lakehouse:
    return copy_of(works, tmp_path / "lake", asks_a_person)


def test_a_challenger_that_passes_the_gate_waits_and_the_champion_stays(works: Lakehouse) -> None:
    refused, pending = promotions(works)[-2:]
    assert (refused["action"], refused["to_version"]) == ("refuse", "3")  # the gate asks nobody
    assert (pending["action"], pending["to_version"], pending["who"]) == (
        "pending",
        "4",
        "retrain_and_promote",
    )
    assert works.registry.champion() == "2"
    assert not retrain_and_promote(works, AVAILABLE_NOW)
    assert promotions(works)[-1] == pending


def test_an_approved_challenger_takes_over_under_the_record_of_its_training(
    waiting: Lakehouse,
) -> None:
    pending = promotions(waiting)[-1]
    assert answer(waiting, True, "ada", "looked at the slices") == "4"
    assert waiting.registry.champion() == "4"
    row = promotions(waiting)[-1]
    assert (row["action"], row["who"], row["reason"]) == ("promote", "ada", "looked at the slices")
    assert (row["from_version"], row["to_version"], row["as_of"]) == ("2", "4", pending["as_of"])
    same = ("model_sha256", "policy_record", "evidence", "trained_rows", "table_versions")
    assert {name: row[name] for name in same} == {name: pending[name] for name in same}
    state = policy_history(waiting)
    assert (state.champion, state.before) == (4, 2)
    # A person's word is no training.
    assert state.trainings == (instant(pending["as_of"]),)
    assert not retrain_and_promote(waiting, AVAILABLE_NOW)
    assert promotions(waiting)[-1] == row


def test_a_rejected_challenger_leaves_the_champion_and_is_not_trained_again_for_the_same_labels(
    waiting: Lakehouse,
) -> None:
    why = "too few rows of the night shift"
    assert answer(waiting, False, "ada", why) == "4"
    row = promotions(waiting)[-1]
    assert (row["action"], row["who"], row["reason"]) == ("refuse", "ada", why)
    assert row["policy_record"] is None
    assert PromotionLedger(waiting).waiting is None
    assert not retrain_and_promote(waiting, AVAILABLE_NOW)
    assert (promotions(waiting)[-1], waiting.registry.champion()) == (row, "2")


def test_one_that_was_killed_before_the_alias_moved_is_finished(waiting: Lakehouse) -> None:
    answer(waiting, True, "ada", "good")
    waiting.registry.promote("2")
    retrain_and_promote(waiting, AVAILABLE_NOW)
    assert waiting.registry.champion() == "4"


def test_nothing_is_decided_where_none_waits_or_another_one_does(waiting: Lakehouse) -> None:
    with pytest.raises(RegistryError, match="small version 4 waits for approval, not version 3"):
        answer(waiting, True, "ada", "good", "3")
    assert answer(waiting, True, "ada", "good", "4") == "4"
    with pytest.raises(RegistryError, match="small has no version that waits for approval"):
        answer(waiting, True, "ada", "again")
    with (
        waiting.store.writing(waiting.catalog.promotion),
        pytest.raises(LockedError, match=r"gold\.promotion"),
    ):
        answer(waiting, True, "ada", "good")


def next_labels(lakehouse: Lakehouse) -> None:
    """The labels of another day come, which lets the rows grow."""
    write_labels(lakehouse, range(6 * A_DAY, 7 * A_DAY))
    aggregate(lakehouse, 6 * A_DAY, 7 * A_DAY - 1, told_at(7 * A_DAY - 1))


def test_while_one_waits_none_is_trained_and_the_decision_says_why(waiting: Lakehouse) -> None:
    next_labels(waiting)
    before = registered(waiting)
    retrain_and_promote(waiting, AVAILABLE_NOW)
    decision = decisions(waiting)[-1]
    assert (decision["action"], decision["retrain"], decision["rule"]) == (
        "keep",
        False,
        "approval",
    )
    since = f"{PENDING_SINCE:%Y-%m-%d %H:%M}"
    assert decision["reasons"][0] == f"version 4 waits for approval since {since}"
    assert len(decision["reasons"]) > 1  # with what was asked for
    assert PromotionLedger(waiting).waiting is not None
    assert registered(waiting) == before


def test_once_approval_is_automatic_again_a_later_verdict_overtakes_what_waits(
    works: Lakehouse, tmp_path: Path
) -> None:
    lakehouse = copy_of(works, tmp_path / "lake", asks_nobody)
    next_labels(lakehouse)
    retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert promotions(lakehouse)[-1]["to_version"] == "5"
    assert PromotionLedger(lakehouse).waiting is None


def test_only_what_asks_for_a_training_is_held(works: Lakehouse) -> None:
    ledger = TableLedger(works)
    asks = Decision(RETRAIN, "shiryaev_roberts", ("it is worse",))
    words = f"version 4 waits for approval since {PENDING_SINCE:%Y-%m-%d %H:%M}"
    assert ledger.held(asks) == replace(
        asks, action=KEEP, rule="approval", reasons=(words, "it is worse")
    )
    assert ledger.held(Decision(TRAIN_FIRST, "first_model", ("enough rows",))).action == WAIT
    keeps = Decision(KEEP, "shiryaev_roberts", ("all is well",))
    assert ledger.held(keeps) == keeps
    assert TableLedger(with_model(works, approval="automatic")).held(asks) == asks


def test_a_version_that_waits_for_a_person_is_an_open_alarm_and_then_what_the_person_said(
    spark: SparkSession, tmp_path: Path
) -> None:
    model = load_model_settings("conf/glassware.yaml")
    lakehouse = opened(spark, model, tmp_path)
    ledger, store = lakehouse.catalog.promotion, lakehouse.store
    as_of, evidence = moment("2019-07-05T00:00:00"), {"log_statistic": 25.0, "log_alarm": 9.5}
    asked_for = {
        "as_of": as_of,
        "action": "retrain",
        "retrain": True,
        "evidence": evidence,
        "reasons": ["it is worse"],
    }
    store.append_rows(
        [asked_for | {"decided_at": moment("2026-01-01T01:00:00")}], lakehouse.catalog.decision
    )
    loop = {"who": "retrain_and_promote", "trained_rows": 345}
    first = loop | {"action": "promote", "to_version": "1", "as_of": moment("2019-07-01T00:00:00")}
    waits = loop | {
        "action": "pending",
        "from_version": "1",
        "to_version": "2",
        "as_of": as_of,
        "reason": "better",
    }
    waits |= {"evidence": {"probability_better": 0.9, "training_seconds": 2.5}}
    store.append_rows([first | {"recorded_at": moment("2026-01-01T00:00:00")}], ledger)
    store.append_rows([waits | {"recorded_at": moment("2026-01-01T02:00:00")}], ledger)

    def shown(engines: Engines) -> tuple[list[Any], ...]:
        alarms = [
            (row["alarm"], row["subject"], row["value"])
            for row in engines.rows("open_alarms", "alarm")
        ]
        columns = ("verdict", "challenger", "verdict_reason", "training_seconds")
        decided = [
            tuple(row[name] for name in columns)
            for row in engines.rows("decision_history", "as_of")
        ]
        trained = [
            (row["model_version"], row["seconds"]) for row in engines.rows("cost", "recorded_at")
        ]
        return alarms, decided, trained

    with known_to_spark(spark, str(tmp_path)):
        asked = shown(Engines(spark, duckdb_of(str(tmp_path))))
        word = waits | {"action": "promote", "who": "ada", "reason": "it is"}
        store.append_rows([word | {"recorded_at": moment("2026-01-01T09:00:00")}], ledger)
        answered = shown(Engines(spark, duckdb_of(str(tmp_path))))
    trained = [("1", None), ("2", 2.5)]  # a person's word is no training
    assert asked == (
        [("approval", "2", 0.9), ("retraining", "retrain", 25.0)],
        [("pending", "2", "better", 2.5)],
        trained,
    )
    assert answered == ([], [("promote", "2", "better; ada: it is", 2.5)], trained)
