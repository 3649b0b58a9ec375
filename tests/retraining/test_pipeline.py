"""The policy in the real loop: it decides as the simulation does; probation, archive, outage."""

import datetime as dt
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.glassware.pieces import Stream
from lakehouse.instants import instant
from lakehouse.labels.labelled_rows import LABEL_TIME
from lakehouse.models import MatrixLearner, Trial, problem_of
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.promoted_models import LabelledFrame, PromotedModels
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.retraining.signals import shifts_of
from lakehouse.retraining.table_ledger import LABEL_OUTAGE
from lakehouse.settings import OutageSettings
from lakehouse.simulation.loop import Simulation
from lakehouse.simulation.world import World, world_of
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import NO_DAY
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.versions.ledger import PromotionLedger
from tests.support.rows import (
    WITHHELD,
    decisions,
    parcels,
    policy_history,
    promotions,
    record_promotion,
    with_policy,
)
from tests.support.small_model import at, measured
from tests.support.written import (
    A_DAY,
    CHANGED,
    aggregate,
    copy_of,
    second_version,
    told_at,
    with_model,
    write_labels,
    write_predictions,
    write_readings,
)

SENSORS = ["temp", "pressure", "duration"]
NIGHTS = [np.datetime64(f"2019-07-{day}", "us") for day in (10, 15, 18)]


def world_of_three_nights() -> World:
    """The stream without the piece whose label never comes."""
    stream = Stream("demo", seed=0, pieces=6000, period=300.0)
    readings, inspected = stream.readings(1, 6000), stream.labels(1, 6000)
    keep = readings["pid"].to_numpy() != WITHHELD
    event_time, label_time = (
        table[name].cast(pa.timestamp("us")).to_numpy()[keep]
        for table, name in ((readings, "process_time"), (inspected, "qualitycheck_time"))
    )
    features = np.column_stack([readings[name].to_numpy() for name in SENSORS])[keep]
    labels = inspected["quality"].to_numpy().astype(np.int64)[keep]
    return World(
        world_of("demo", 0).variant,
        0,
        features,
        labels,
        event_time,
        label_time,
        np.full(len(labels), 0.5),
    )


def test_the_pipeline_decides_as_the_simulation_does_on_the_same_stream(three_nights):
    learner = MatrixLearner(
        Trial("", "decision_tree", {"ccp_alpha": 0.005}), problem_of(three_nights.model), 0
    )
    loop = Simulation(
        world_of_three_nights(),
        three_nights.model.policy,
        learner,
        three_nights.model.training.first_after,
    )
    events = loop.run(NIGHTS).events
    asked = [row for row in decisions(three_nights) if row["retrain"]]
    verdicts = promotions(three_nights)
    assert {"train_first", "retrain"} <= {row["action"] for row in asked}
    assert len(events) == len(asked) == len(verdicts)
    for event, row, verdict in zip(events, asked, verdicts, strict=True):
        assert (instant(row["as_of"]), row["action"]) == (event.as_of, event.decision.action)
        assert (row["change_at"] and instant(row["change_at"])) == event.decision.change_at
        found = dict(row["evidence"])
        assert {name: found[name] for name in event.decision.evidence} == pytest.approx(
            event.decision.evidence
        )
        assert verdict["action"] == event.action
        figures = dict(verdict["evidence"])
        assert {name: figures[name] for name in event.result.evidence} == pytest.approx(
            event.result.evidence
        )
    champion = policy_history(three_nights).champion_record
    assert three_nights.registry.champion() == str(champion.version)


@pytest.fixture(scope="module")
def works(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """The small model, whose version 2 has taken over; tests write to copies."""
    return second_version(spark, tmp_path_factory.mktemp("pipeline") / "lake")


@pytest.fixture
def lakehouse(works: Lakehouse, tmp_path: Path) -> Lakehouse:
    return copy_of(works, tmp_path / "lake")


def two_more_days(lakehouse: Lakehouse, version: str) -> dt.datetime:
    """The version has predicted them, and the labels of two days have come; returns the newest
    label time.
    """
    write_readings(lakehouse, range(5 * A_DAY, 7 * A_DAY))
    write_predictions(lakehouse, range(5 * A_DAY, 7 * A_DAY), version)
    write_labels(lakehouse, range(4 * A_DAY, 6 * A_DAY))
    newest = told_at(6 * A_DAY - 1)
    aggregate(lakehouse, 4 * A_DAY, 7 * A_DAY - 1, newest)
    return newest


def test_a_promoted_version_that_is_worse_than_the_one_before_is_rolled_back_on_its_first_labels(
    lakehouse: Lakehouse,
) -> None:
    old, as_of = policy_history(lakehouse).records[1], told_at(4 * A_DAY - 1)
    bad = replace(
        old, version=replace(old.version, as_of=instant(as_of), drift_period=instant(as_of))
    )
    record_promotion(lakehouse, as_of, "1", bad)
    assert lakehouse.registry.champion() == "1"
    newest = two_more_days(lakehouse, "1")
    retrain_and_promote(lakehouse, AVAILABLE_NOW)
    first, *others = [row for row in promotions(lakehouse) if row["as_of"] == newest]
    assert (first["action"], first["who"]) == ("rollback", "retrain_and_promote")
    assert (first["from_version"], first["to_version"]) == ("1", "2")
    evidence = dict(first["evidence"])
    assert evidence["lost"] > evidence["won"]
    assert evidence["probability_better"] < 0.01
    assert lakehouse.registry.champion() != "1"
    assert "rollback" not in {row["action"] for row in others}


def test_numbers_beyond_those_that_the_champion_was_trained_on_are_noticed(
    lakehouse: Lakehouse,
) -> None:
    as_of = two_more_days(lakehouse, "2")
    table, store = lakehouse.catalog.profile_metrics, lakehouse.store
    narrow = [
        row | {"max": 0.5} if (row["model_version"], row["column_name"]) == ("2", "x") else row
        for row in store.rows(table, partitions=NO_DAY)
    ]
    store.replace_partitions(narrow, table)
    least = min(measured(number)[0] for number in range(CHANGED, CHANGED + A_DAY))  # trained on
    newest = [measured(number)[0] for number in range(6 * A_DAY, 7 * A_DAY)]
    found = {each.column: each.outside for each in shifts_of(lakehouse, "2", as_of).features}
    assert found["x"] == pytest.approx(np.mean([x > 0.5 or x < least for x in newest]), abs=0.01)
    assert found["x"] > 0.2
    assert found["z"] < 0.05


def test_categories_that_the_champion_was_not_trained_on_are_noticed(depot, tmp_path):
    shutil.copytree(depot.store.root, tmp_path / "depot")
    store, table = replace(depot.store, root=str(tmp_path / "depot")), depot.catalog.profile_metrics
    lakehouse = replace(depot, store=store)
    champion = lakehouse.registry.champion()

    def without_lane_a(row):
        if (row["model_version"], row["column_name"]) != (champion, "lane"):
            return row
        return row | {
            "frequent_items": [each for each in row["frequent_items"] if each["item"] != "a"]
        }

    store.replace_partitions(
        [without_lane_a(row) for row in store.rows(table, partitions=NO_DAY)], table
    )
    shifts = shifts_of(lakehouse, champion, promotions(lakehouse)[-1]["as_of"])
    found = {each.column: each.outside for each in shifts.features}
    rows = store.arrow(lakehouse.catalog.predictions).to_pandas()
    newest = rows[rows["weighed_at"].dt.date == rows["weighed_at"].dt.date.max()]
    assert found["lane"] == pytest.approx((newest["lane"].dropna() == "a").mean())
    assert found["lane"] > 0.2
    assert found["fragile"] == 0


def test_overdue_labels_are_an_alarm_of_their_own_and_recorded_once(lakehouse: Lakehouse) -> None:
    labels = lakehouse.model.labels.model_copy(update={"horizon": dt.timedelta(hours=1)})
    strict = with_policy(lakehouse, outage=OutageSettings(patience=labels.horizon))
    strict = with_model(strict, labels=labels)
    assert not retrain_and_promote(strict, AVAILABLE_NOW)
    row = decisions(strict)[-1]
    assert (row["action"], row["retrain"]) == (LABEL_OUTAGE, False)
    assert row["change_at"] == at(4 * A_DAY)  # labels of the rows until then have come
    assert row["reasons"][0].startswith(f"no labels since {at(4 * A_DAY):%Y-%m-%d %H:%M}")
    before = strict.store.versions(*strict.catalog.tables)
    assert not retrain_and_promote(strict, AVAILABLE_NOW)
    assert strict.store.versions(*strict.catalog.tables) == before


def test_a_champion_of_an_older_release_is_trained_again_on_the_rows_since_its_change(
    lakehouse: Lakehouse,
) -> None:
    two_more_days(lakehouse, "2")
    forgotten = [row | {"policy_record": None} for row in promotions(lakehouse)]
    shutil.rmtree(lakehouse.store.path(lakehouse.catalog.promotion))
    lakehouse = replace(
        lakehouse, store=replace(lakehouse.store)
    )  # the old one goes on from the log that it has read
    lakehouse.store.create_missing()
    lakehouse.store.append_rows(forgotten, lakehouse.catalog.promotion)
    assert retrain_and_promote(lakehouse, AVAILABLE_NOW)
    row = decisions(lakehouse)[-1]
    assert (row["action"], row["rule"], row["model_version"]) == ("refresh", "no_record", "2")
    assert promotions(lakehouse)[-1]["action"] == "promote"
    [(version, text)] = PromotionLedger(lakehouse).policy_records.items()
    record = PolicyRecord.from_json(text)
    assert lakehouse.registry.champion() == version
    assert record.candidate == "since_change"
    assert record.version.changed_at == instant(at(CHANGED))
    before = lakehouse.store.versions(*lakehouse.catalog.tables)
    assert not retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert lakehouse.store.versions(*lakehouse.catalog.tables) == before


def test_the_gate_knows_in_which_slices_its_rows_lie(depot):
    readings, _ = parcels()
    chosen = [readings[place] for place in (250, 7, 120)]
    models = PromotedModels(PromotionLedger(depot))
    at = pd.to_datetime([each["weighed_at"] for each in chosen], utc=True)
    frame = pd.DataFrame(chosen).assign(weighed_at=at, outcome="ok", **{LABEL_TIME: at})
    found = LabelledFrame(models, frame, History()).slices(np.ones(3, dtype=bool))
    expected = {
        f"lane: {each['lane']}": [each["lane"] == one["lane"] for one in chosen] for each in chosen
    }
    known = {name: inside.tolist() for name, inside in found.items()}
    assert {name: known[name] for name in expected if name != "lane: None"} == {
        name: inside for name, inside in expected.items() if name != "lane: None"
    }
    heavy = [bool(one["grams"] and one["grams"] > 50) for one in chosen]
    assert known.get("grams > 50: true", [False] * 3) == heavy
    assert set(known) - set(expected) <= {"grams > 50: true", "grams > 50: false"}
