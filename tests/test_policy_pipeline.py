"""The policy in the real loop: it decides as the simulation does; probation, archive, outage."""

import datetime as dt
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lakehouse.estimators import MatrixLearner, Trial, problem_of
from lakehouse.glassware.landing import land_until
from lakehouse.glassware.stream import Stream
from lakehouse.settings import EnvironmentSettings, OutageSettings, ProbationSettings, ShiryaevRobertsRule
from lakehouse.simulation.loop import Loop
from lakehouse.simulation.world import World, world_of
from lakehouse.stations import policy_gate, policy_loop, policy_training
from lakehouse.stations.evidence import Evidence
from lakehouse.stations.lakehouse import open_lakehouse
from lakehouse.stations.policy_loop import BLIND
from lakehouse.stations.policy_training import train_by_policy
from lakehouse.stations.promotion import policy_records, promotions, record_verdict
from lakehouse.stations.retrain_and_promote import retrain_and_promote
from lakehouse.stations.run_pipeline import run_pipeline
from lakehouse.stations.shifts import shifts_of
from lakehouse.steps.policy.decide import REFRESH, RETRAIN, TRAIN_FIRST, Decision
from lakehouse.steps.policy.detect import detect
from lakehouse.steps.policy.document import instant, moment_of
from lakehouse.steps.promote import Verdict
from lakehouse.store import NO_DAY
from lakehouse.stream import AVAILABLE_NOW
from tests.benchmarks import parity
from tests.rows import (
    WITHHELD,
    decisions,
    moment,
    parcel_depot,
    parcels,
    policy_history,
    registered,
    with_policy,
)

SENSORS = ["temp", "pressure", "duration"]
DEMO_NIGHTS = [np.datetime64(f"2019-{day}", "us") for day in ("07-08", "07-20", "07-26", "08-06", "08-08")]
DRIFTS = [np.datetime64(f"2019-{moment}", "us") for moment in ("07-18T17:14", "08-03T20:43")]
NIGHTS = [np.datetime64(f"2019-07-{day}", "us") for day in (10, 15, 18)]


def the_plants_world() -> World:
    """The plant's stream without the piece whose label never comes."""
    stream = Stream("demo", seed=0, pieces=6000, period=300.0)
    readings, labels = stream.readings(1, 6000), stream.labels(1, 6000)
    keep = readings["pid"].to_numpy() != WITHHELD
    made, told = (
        table[name].cast(pa.timestamp("us")).to_numpy()[keep]
        for table, name in ((readings, "process_time"), (labels, "qualitycheck_time"))
    )
    features = np.column_stack([readings[name].to_numpy() for name in SENSORS])[keep]
    codes = labels["quality"].to_numpy().astype(np.int64)[keep]
    return World(world_of("demo", 0).variant, 0, features, codes, made, told, np.full(len(codes), 0.5))


def test_the_pipeline_decides_as_the_simulation_does_on_the_same_stream(newest):
    learner = MatrixLearner(Trial("", "decision_tree", {"ccp_alpha": 0.005}), problem_of(newest.model), 0)
    loop = Loop(the_plants_world(), newest.model.policy, learner, newest.model.training.first_after)
    events = loop.run(NIGHTS).events
    asked = [row for row in decisions(newest) if row["retrain"]]
    verdicts = promotions(newest)
    assert [row["action"] for row in asked] == ["train_first", "retrain", "retrain", "refresh"]
    assert len(events) == len(asked) == len(verdicts)
    for event, row, verdict in zip(events, asked, verdicts, strict=True):
        assert (instant(row["as_of"]), row["action"]) == (event.as_of, event.decision.action)
        assert (row["change_at"] and instant(row["change_at"])) == event.decision.change_at
        found = dict(row["evidence"])
        assert {name: found[name] for name in event.decision.evidence} == pytest.approx(event.decision.evidence)
        assert verdict["action"] == event.action
        figures = dict(verdict["evidence"])
        assert {name: figures[name] for name in event.judgement.evidence} == pytest.approx(event.judgement.evidence)
    champion = policy_history(newest).champion_record
    assert newest.registry.champion() == str(champion.version) == "4"


def test_every_verdict_says_how_long_its_training_took(newest):
    seconds = [dict(row["evidence"])["training_seconds"] for row in promotions(newest)]
    assert len(seconds) == 4
    assert all(0.05 < each < 600 for each in seconds)


def test_a_training_that_gives_no_challenger_has_its_seconds_on_record(plant, tmp_path, monkeypatch):
    lakehouse = plant.copy("told", tmp_path)
    monkeypatch.setattr(policy_loop, "train_by_policy", lambda *_: None)
    retrain_and_promote(lakehouse, AVAILABLE_NOW)
    refusals = [row for row in promotions(lakehouse) if row["action"] == "refuse" and row["to_version"] is None]
    assert refusals
    assert all(dict(row["evidence"])["training_seconds"] >= 0 for row in refusals)


def without_recall(model):
    """Settings under which the return of an archived version's rule is not looked for."""
    policy = model.policy.model_copy(update={"rules": (ShiryaevRobertsRule(recall=None),)})
    return model.model_copy(update={"policy": policy})


def test_both_drifts_of_the_demo_are_answered_as_the_simulation_answers_them(spark):
    model, stream = parity.settings(), Stream("demo", 0)
    loop = parity.simulated(model, 0, "demo", DEMO_NIGHTS)
    with tempfile.TemporaryDirectory(dir=parity.MEMORY) as folder:
        lakehouse = open_lakehouse(spark, model, EnvironmentSettings(root=folder))
        for night in DEMO_NIGHTS:
            land_until(stream, Path(lakehouse.landing), moment_of(night))
            run_pipeline(lakehouse)
        figures, differences = parity.compared(lakehouse, loop)
        _, others = parity.compared(lakehouse, parity.simulated(without_recall(model), 0, "demo", DEMO_NIGHTS))
    assert differences == []
    assert {each.split()[3] for each in others if each.startswith("decision")} == {"between", "log_statistic"}
    assert figures == {"decisions": 5, "verdicts": 5, "calls": int((loop.called >= 0).sum())}
    assert [decision.action for _, decision in loop.decisions] == [TRAIN_FIRST, RETRAIN, REFRESH, RETRAIN, RETRAIN]
    assert loop.events[-1].candidate == "moving from 3"
    first, _, second = (decision.change_at for _, decision in loop.decisions[1:4])
    assert abs(first - DRIFTS[0]) < np.timedelta64(1, "h")
    assert abs(second - DRIFTS[1]) < np.timedelta64(1, "h")


def test_an_alarm_is_dated_with_the_newest_rows_one_by_one(plant, monkeypatch):
    evidence = Evidence(plant.at("newest"), policy_history(plant.at("drifted")), moment("2019-07-18T00:00:00"))
    record, seen = policy_loop._facts(evidence), []
    monkeypatch.setattr(policy_loop, "detect", lambda *given: (seen.append(given), detect(*given))[1])
    policy_loop._dated(evidence, record, Decision(RETRAIN, "", (), change_at=record.detection.change_at))
    [(counts, _, _, _, recent)] = seen
    hours = recent.counts.hour
    assert set(hours) <= set(counts.hour)
    assert (hours != hours.astype("datetime64[h]")).any()


def test_a_refused_alarm_is_known_to_the_next_decision(newest):
    [alarm] = [row for row in decisions(newest) if row["action"] == RETRAIN and row["as_of"].day == 18]
    record = policy_loop._facts(Evidence(newest, policy_history(newest), moment("2019-07-18T00:00:00")))
    assert record.refused == dict(alarm["evidence"])["log_statistic"] > 0


def test_a_promoted_version_that_is_worse_than_the_one_before_is_rolled_back_on_its_first_labels(plant, tmp_path):
    lakehouse = with_policy(plant.copy("drifted", tmp_path), probation=ProbationSettings(rows=2_000))
    old = policy_records(lakehouse)["1"]
    as_of = moment("2019-07-15T00:00:00")
    bad = replace(old, version=replace(old.version, as_of=instant(as_of), epoch=instant(as_of)))
    record_verdict(lakehouse, as_of, "why not", lakehouse.registry.version("1"), Verdict(True, ""), bad.to_json())
    assert lakehouse.registry.champion() == "1"
    run_pipeline(lakehouse)
    rows = [row for row in promotions(lakehouse) if row["as_of"] == moment("2019-07-18T00:00:00")]
    assert (rows[0]["action"], rows[0]["who"]) == ("rollback", "retrain_and_promote")
    assert (rows[0]["from_version"], rows[0]["to_version"]) == ("1", "2")
    evidence = dict(rows[0]["evidence"])
    assert evidence["lost"] > evidence["won"]
    assert evidence["probability_better"] < 0.01
    assert lakehouse.registry.champion() != "1"
    assert "rollback" not in {row["action"] for row in rows[1:]}


def test_an_archived_champion_is_brought_back_by_its_version_without_a_training(plant, tmp_path, monkeypatch):
    lakehouse = plant.copy("newest", tmp_path)
    monkeypatch.setattr(
        policy_training, "choose", lambda fitted, *_: next(each for each in fitted if each.candidate.version == 1)
    )
    as_of = moment("2019-07-18T00:00:00")
    change = np.datetime64("2019-07-15T12:00", "us")
    evidence = Evidence(lakehouse, policy_history(lakehouse), as_of)
    runs = registered(lakehouse)
    decision = Decision(RETRAIN, "shiryaev_roberts", ("it is back",), change_at=change, confidence=0.6)
    judged = train_by_policy(evidence, decision)
    assert judged.version.version == "1"
    assert judged.verdict.evidence["training_seconds"] > 0  # its choice
    assert not judged.verdict.promote  # no label has come since the champion was trained
    assert registered(lakehouse) == runs
    record_verdict(lakehouse, as_of, "", judged.version, Verdict(True, ""), judged.record.to_json())
    state = policy_history(lakehouse)
    assert (state.champion, state.before, state.epoch) == (1, 4, {1})
    assert state.champion_record.changed_at == change
    assert state.champion_record.reference == 1
    assert list(state.archive) == [1, 4]
    assert state.archive[4].end == change
    assert lakehouse.registry.champion() == "1"


def test_numbers_beyond_those_that_the_champion_was_trained_on_are_told(plant, tmp_path):
    lakehouse = plant.copy("told", tmp_path)  # with rows that the champion has called
    table, store = lakehouse.catalog.profile_metrics, lakehouse.store
    evidence = Evidence(lakehouse, policy_history(lakehouse), moment("2019-07-15T00:00:00"))
    version = lakehouse.registry.champion()
    baselines = store.rows(table, partitions=NO_DAY)
    narrow = [
        row | {"max": 355.0} if (row["model_version"], row["column_name"]) == (version, "temp") else row
        for row in baselines
    ]
    store.replace_partitions(narrow, table)
    rows = store.read(lakehouse.catalog.predictions).where(f"model_version = '{version}'").toPandas()
    newest = rows[rows["process_time"].dt.date == rows["process_time"].dt.date.max()]
    found = {each.column: each.outside for each in shifts_of(evidence).features}
    assert found["temp"] == pytest.approx((newest["temp"] > 355).mean(), abs=0.01)
    assert found["temp"] > 0.2
    assert found["duration"] == 0


def test_categories_that_the_champion_was_not_trained_on_are_told(spark, tmp_path):
    depot = parcel_depot(spark)
    shutil.copytree(depot.store.root, tmp_path / "depot")
    store, table = replace(depot.store, root=str(tmp_path / "depot")), depot.catalog.profile_metrics
    lakehouse = replace(depot, store=store)
    champion = lakehouse.registry.champion()

    def without_lane_a(row):
        if (row["model_version"], row["column_name"]) != (champion, "lane"):
            return row
        return row | {"frequent_items": [each for each in row["frequent_items"] if each["item"] != "a"]}

    store.replace_partitions([without_lane_a(row) for row in store.rows(table, partitions=NO_DAY)], table)
    evidence = Evidence(lakehouse, policy_history(lakehouse), promotions(lakehouse)[-1]["as_of"])
    found = {each.column: each.outside for each in shifts_of(evidence).features}
    rows = store.read(lakehouse.catalog.predictions).where(f"model_version = '{champion}'").toPandas()
    newest = rows[rows["weighed_at"].dt.date == rows["weighed_at"].dt.date.max()]
    assert found["lane"] == pytest.approx((newest["lane"].dropna() == "a").mean())
    assert found["lane"] > 0.2
    assert found["fragile"] == 0


def test_overdue_labels_are_an_alarm_of_their_own_and_told_once(plant, tmp_path):
    lakehouse = plant.copy("drifted", tmp_path)
    labels = lakehouse.model.labels.model_copy(update={"horizon": dt.timedelta(hours=1)})
    strict = with_policy(lakehouse, outage=OutageSettings(patience=labels.horizon))
    strict = replace(strict, model=strict.model.model_copy(update={"labels": labels}))
    assert not retrain_and_promote(strict, AVAILABLE_NOW)
    row = decisions(strict)[-1]
    assert (row["action"], row["retrain"]) == (BLIND, False)
    assert row["change_at"] == moment("2019-07-14T00:00:00")  # labels of the pieces made until then have come
    assert row["reasons"][0].startswith("blind since 2019-07-14 00:00")
    before = strict.store.versions(*strict.catalog.tables)
    assert not retrain_and_promote(strict, AVAILABLE_NOW)
    assert strict.store.versions(*strict.catalog.tables) == before


def test_a_champion_of_an_older_release_is_trained_again_on_the_rows_since_its_change(plant, tmp_path):
    lakehouse = plant.copy("drifted", tmp_path)
    forgotten = [row | {"policy_record": None} for row in promotions(lakehouse)]
    shutil.rmtree(lakehouse.store.path(lakehouse.catalog.promotion))
    lakehouse = replace(lakehouse, store=replace(lakehouse.store))  # the old one goes on from the log that it has read
    lakehouse.store.create_missing()
    lakehouse.store.append_rows(forgotten, lakehouse.catalog.promotion)
    run_pipeline(lakehouse)
    row = decisions(lakehouse)[-1]
    assert (row["action"], row["rule"], row["model_version"]) == ("refresh", "no_record", "2")
    assert promotions(lakehouse)[-1]["action"] == "promote"
    [(version, record)] = policy_records(lakehouse).items()
    assert lakehouse.registry.champion() == version
    assert record.candidate == "since_change"
    assert record.version.changed_at == instant(lakehouse.registry.version("2").record.changed_at)
    before = lakehouse.store.versions(*lakehouse.catalog.tables)
    assert not retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert lakehouse.store.versions(*lakehouse.catalog.tables) == before


def test_the_gate_knows_in_which_slices_its_rows_lie(spark):
    depot = parcel_depot(spark)
    readings, _ = parcels()
    keys = pd.Series([readings[place]["parcel_no"] for place in (250, 7, 120)])
    found = policy_gate._slices(depot, keys)
    chosen = [readings[place] for place in (250, 7, 120)]
    expected = {f"lane: {each['lane']}": [each["lane"] == one["lane"] for one in chosen] for each in chosen}
    known = {name: inside.tolist() for name, inside in found.items()}
    assert {name: known[name] for name in expected if name != "lane: None"} == {
        name: inside for name, inside in expected.items() if name != "lane: None"
    }
    heavy = [bool(one["grams"] and one["grams"] > 50) for one in chosen]
    assert known.get("grams > 50: true", [False] * 3) == heavy
    assert set(known) - set(expected) <= {"grams > 50: true", "grams > 50: false"}
