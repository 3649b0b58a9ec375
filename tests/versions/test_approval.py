"""With `approval: manual`, a challenger that passes the gate waits for a person's word; both are on
record.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.app.opening import open_lakehouse
from lakehouse.errors import LockedError, RegistryError
from lakehouse.retraining.policy.decide import KEEP, RETRAIN, TRAIN_FIRST, WAIT, Decision
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.retraining.table_ledger import TableLedger
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.promotion import answer
from tests.support.engines import Engines, duckdb_of, known_to_spark
from tests.support.rows import moment, policy_history, promotions, record_promotion, registered

VERSIONS_UNTIL_THEN = 2


def with_approval(lakehouse: Any, approval: str) -> Any:
    return replace(lakehouse, model=lakehouse.model.model_copy(update={"approval": approval}))


@pytest.fixture(scope="module")
def waiting(plant, tmp_path_factory):
    """The night on which v3 is refused, and v4 would take over; not to be written to."""
    lakehouse = with_approval(plant.copy("told", tmp_path_factory.mktemp("waiting")), "manual")
    retrain_and_promote(lakehouse, AVAILABLE_NOW)
    return lakehouse


@pytest.fixture
def asked(waiting):
    """What it writes to the ledger and to the registry is taken back."""
    store, table = waiting.store, waiting.catalog.promotion
    version, champion = store.version(table), waiting.registry.champion()
    yield waiting
    DeltaTable(store.path(table)).restore(version)
    waiting.registry.promote(champion)


def test_a_challenger_that_passes_the_gate_waits_and_the_champion_stays(waiting):
    refused, pending = promotions(waiting)[-2:]
    assert (refused["action"], refused["to_version"]) == ("refuse", "3")  # the gate asks nobody
    assert (pending["action"], pending["to_version"], pending["who"]) == (
        "pending",
        "4",
        "retrain_and_promote",
    )
    assert dict(pending["evidence"])["challenger_accuracy"] > 0.5
    assert waiting.registry.champion() == "2"
    assert not retrain_and_promote(waiting, AVAILABLE_NOW)
    assert promotions(waiting)[-1] == pending


def test_an_approved_challenger_takes_over_under_the_record_of_its_training(asked):
    pending = promotions(asked)[-1]
    assert answer(asked, True, "ada", "looked at the slices") == "4"
    assert asked.registry.champion() == "4"
    row = promotions(asked)[-1]
    assert (row["action"], row["who"], row["reason"]) == ("promote", "ada", "looked at the slices")
    assert (row["from_version"], row["to_version"], row["as_of"]) == ("2", "4", pending["as_of"])
    same = ("model_sha256", "policy_record", "evidence", "trained_rows", "table_versions")
    assert {name: row[name] for name in same} == {name: pending[name] for name in same}
    state = policy_history(asked)
    assert (state.champion, state.before) == (4, 2)
    assert len(state.trainings) == 4  # a person's word is none
    assert not retrain_and_promote(asked, AVAILABLE_NOW)
    assert promotions(asked)[-1] == row


def test_a_rejected_challenger_leaves_the_champion_and_is_not_trained_again_for_the_same_labels(
    asked,
):
    assert answer(asked, False, "ada", "too few rows of the night shift") == "4"
    row = promotions(asked)[-1]
    assert (row["action"], row["who"], row["reason"]) == (
        "refuse",
        "ada",
        "too few rows of the night shift",
    )
    assert row["policy_record"] is None
    assert PromotionLedger(asked).waiting is None
    assert not retrain_and_promote(asked, AVAILABLE_NOW)
    assert (promotions(asked)[-1], asked.registry.champion()) == (row, "2")


def test_one_that_was_killed_before_the_alias_moved_is_finished(asked):
    answer(asked, True, "ada", "good")
    asked.registry.promote("2")
    retrain_and_promote(asked, AVAILABLE_NOW)
    assert asked.registry.champion() == "4"


def test_nothing_is_decided_where_none_waits_or_another_one_does(asked):
    with pytest.raises(
        RegistryError, match="glassware version 4 waits for approval, not version 3"
    ):
        answer(asked, True, "ada", "good", "3")
    assert answer(asked, True, "ada", "good", "4") == "4"
    with pytest.raises(RegistryError, match="glassware has no version that waits for approval"):
        answer(asked, True, "ada", "again")
    with (
        asked.store.writing(asked.catalog.promotion),
        pytest.raises(LockedError, match=r"gold\.promotion"),
    ):
        answer(asked, True, "ada", "good")


def held(plant, folder, approval: str) -> Any:
    """A challenger waits when the labels have come that raise a (false) alarm and let the rows
    grow.
    """
    lakehouse = with_approval(plant.copy("told", folder), "manual")
    record_promotion(lakehouse, moment("2019-07-15T00:00:00"), "2")
    return with_approval(lakehouse, approval)


def test_while_one_waits_none_is_trained_and_the_decision_says_why(plant, tmp_path):
    lakehouse = held(plant, tmp_path, "manual")
    retrain_and_promote(lakehouse, AVAILABLE_NOW)
    decision = max(
        lakehouse.store.rows(lakehouse.catalog.decision), key=lambda row: row["decided_at"]
    )
    assert (decision["action"], decision["retrain"], decision["rule"]) == (
        "keep",
        False,
        "approval",
    )
    assert decision["reasons"][0] == "version 2 waits for approval since 2019-07-15 00:00"
    assert len(decision["reasons"]) > 1  # what was asked for is told
    assert PromotionLedger(lakehouse).waiting is not None
    assert registered(lakehouse) == VERSIONS_UNTIL_THEN


def test_once_approval_is_automatic_again_a_later_verdict_overtakes_what_waits(plant, tmp_path):
    lakehouse = held(plant, tmp_path, "automatic")
    retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert PromotionLedger(lakehouse).waiting is None
    assert lakehouse.registry.champion() == "4"


def test_only_what_asks_for_a_training_is_held(plant, tmp_path):
    lakehouse = held(plant, tmp_path, "manual")
    ledger = TableLedger(lakehouse)
    asks = Decision(RETRAIN, "shiryaev_roberts", ("it is worse",))
    words = "version 2 waits for approval since 2019-07-15 00:00"
    assert ledger.held(asks) == replace(
        asks, action=KEEP, rule="approval", reasons=(words, "it is worse")
    )
    assert ledger.held(Decision(TRAIN_FIRST, "first_model", ("enough rows",))).action == WAIT
    keeps = Decision(KEEP, "shiryaev_roberts", ("all is well",))
    assert ledger.held(keeps) == keeps
    assert TableLedger(with_approval(lakehouse, "automatic")).held(asks) == asks


def test_a_version_that_waits_for_a_person_is_an_open_alarm_and_then_what_the_person_said(
    spark: SparkSession, tmp_path: Path
) -> None:
    model = load_model_settings("conf/glassware.yaml")
    lakehouse = open_lakehouse(spark, model, EnvironmentSettings(root=str(tmp_path)))
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

    def told(engines: Engines) -> tuple[list[Any], ...]:
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
        asked = told(Engines(spark, duckdb_of(str(tmp_path))))
        word = waits | {"action": "promote", "who": "ada", "reason": "it is"}
        store.append_rows([word | {"recorded_at": moment("2026-01-01T09:00:00")}], ledger)
        answered = told(Engines(spark, duckdb_of(str(tmp_path))))
    trained = [("1", None), ("2", 2.5)]  # a person's word is no training
    assert asked == (
        [("approval", "2", 0.9), ("retraining", "retrain", 25.0)],
        [("pending", "2", "better", 2.5)],
        trained,
    )
    assert answered == ([], [("promote", "2", "better; ada: it is", 2.5)], trained)
