"""The policy in the real loop: it decides as the simulation does; probation, archive, outage, counts by difficulty."""

import datetime as dt
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lakehouse.estimators import MatrixLearner, Trial, problem_of
from lakehouse.glassware.landing import land_until
from lakehouse.glassware.stream import Stream
from lakehouse.settings import EnvironmentSettings, OutageSettings, ProbationSettings, ShiryaevRobertsRule
from lakehouse.simulation.loop import Loop
from lakehouse.simulation.world import World, world_of
from lakehouse.stations import policy_gate, policy_loop, policy_training
from lakehouse.stations.evidence import Evidence
from lakehouse.stations.label_batch import start_of_trainable
from lakehouse.stations.lakehouse import open_lakehouse
from lakehouse.stations.policy_loop import BLIND
from lakehouse.stations.policy_training import train_by_policy
from lakehouse.stations.promotion import policy_records, promotions, record_verdict
from lakehouse.stations.retrain_and_promote import retrain_and_promote
from lakehouse.stations.run_pipeline import run_pipeline
from lakehouse.stations.shifts import shifts_of
from lakehouse.stations.training import labelled_rows
from lakehouse.statistics.difficulty import N_BINS
from lakehouse.steps.policy.decide import REFRESH, RETRAIN, TRAIN_FIRST, Decision
from lakehouse.steps.policy.detect import detect
from lakehouse.steps.policy.document import instant, moment_of
from lakehouse.steps.policy.history import history_of
from lakehouse.steps.promote import Verdict
from lakehouse.store import NO_DAY
from lakehouse.stream import AVAILABLE_NOW
from tests.benchmarks import parity
from tests.rows import WITHHELD, glassware_plant, moment, parcel_depot, parcels

SENSORS = ["temp", "pressure", "duration"]
DEMO_NIGHTS = [np.datetime64(f"2019-{day}", "us") for day in ("07-08", "07-20", "07-26", "08-06", "08-08")]
DRIFTS = [np.datetime64(f"2019-{moment}", "us") for moment in ("07-18T17:14", "08-03T20:43")]
NIGHTS = [np.datetime64(f"2019-07-{day}", "us") for day in (10, 15, 18)]


@pytest.fixture(scope="module")
def plant(spark):
    return glassware_plant(spark)


@pytest.fixture(scope="module")
def newest(plant):
    return plant.at("newest")


def decisions(lakehouse) -> list:
    return sorted(lakehouse.store.rows(lakehouse.catalog.decision), key=lambda row: row["decided_at"])


def history(lakehouse):
    return history_of(promotions(lakehouse), decisions(lakehouse))


def with_policy(lakehouse, **given):
    """The lakehouse under other settings of the policy."""
    policy = lakehouse.model.policy.model_copy(update=given)
    return replace(lakehouse, model=lakehouse.model.model_copy(update={"policy": policy}))


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
    champion = history(newest).champion_record
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


def test_the_newest_rows_are_by_hour_and_by_row_from_the_moment_asked_for(plant):
    lakehouse, since = plant.at("newest"), np.datetime64("2019-07-14T18", "us")
    evidence = Evidence(lakehouse, history(plant.at("drifted")), moment("2019-07-18T00:00:00"))
    by_hour = evidence.recent()
    [(version, bins)] = by_hour.archived.items()
    rows = evidence.calls(moment("2019-07-09T00:00:00"), None)
    rows = rows[rows["_label_time"] > moment("2019-07-15T00:00:00")]
    counts, old = evidence.row_counts(rows), evidence.called_by(1, rows)
    assert version == 1
    assert (bins // N_BINS == old).all()
    assert len(np.unique(bins % N_BINS)) > 2
    assert (by_hour.counts.wrong == counts.wrong).all()
    np.testing.assert_array_equal(by_hour.rows.features, evidence.rows_of(rows).features)
    assert set(by_hour.counts.hour) <= set(evidence.counts.hour)
    by_row, dated = evidence.recent(since).counts, evidence.dated_counts(since)
    late = counts.hour >= since
    assert (by_row.hour[late] == counts.hour[late]).all()
    assert (by_row.hour[~late] == by_hour.counts.hour[~late]).all()
    assert 0 < late.sum() < len(late)
    assert set(by_row.hour) <= set(dated.hour)


def test_single_rows_are_looked_at_in_the_newest_stretch_alone(plant, monkeypatch):
    rule = ShiryaevRobertsRule(alarm=10_000, recall=dt.timedelta(hours=12))
    lakehouse = with_policy(plant.at("newest"), rules=(rule,))
    evidence = Evidence(lakehouse, history(plant.at("drifted")), moment("2019-07-18T00:00:00"))
    newest, reads, calls = evidence.counts.hour.max(), [], Evidence.calls
    monkeypatch.setattr(Evidence, "calls", lambda self, *between: (reads.append(between), calls(self, *between))[1])
    found = evidence.recent().counts
    assert reads == [(moment_of(newest) - rule.recall, None)]
    assert len(found.hour)
    assert found.hour.min() >= newest - np.timedelta64(12, "h")
    last = evidence.dated_counts(newest).hour.max()
    by_row = evidence.recent(newest - np.timedelta64(1, "D")).counts.hour
    assert last - np.timedelta64(12, "h") < by_row.min() < newest
    forgetful = with_policy(lakehouse, rules=(rule.model_copy(update={"recall": None}),))
    assert Evidence(forgetful, evidence.history, evidence.as_of).recent() is None
    assert Evidence(lakehouse, history(plant.at("first")), evidence.as_of).recent().archived == {}
    monkeypatch.setattr(Evidence, "newest_calls", lambda self, start, _=None: calls(self, start, None).head(0))
    assert Evidence(lakehouse, evidence.history, evidence.as_of).recent() is None


def test_an_alarm_is_dated_with_the_newest_rows_one_by_one(plant, monkeypatch):
    evidence = Evidence(plant.at("newest"), history(plant.at("drifted")), moment("2019-07-18T00:00:00"))
    record, seen = policy_loop._facts(evidence), []
    monkeypatch.setattr(policy_loop, "detect", lambda *given: (seen.append(given), detect(*given))[1])
    policy_loop._dated(evidence, record, Decision(RETRAIN, "", (), change_at=record.detection.change_at))
    [(counts, _, _, _, recent)] = seen
    hours = recent.counts.hour
    assert set(hours) <= set(counts.hour)
    assert (hours != hours.astype("datetime64[h]")).any()


def test_a_refused_alarm_is_known_to_the_next_decision(newest):
    [alarm] = [row for row in decisions(newest) if row["action"] == RETRAIN and row["as_of"].day == 18]
    record = policy_loop._facts(Evidence(newest, history(newest), moment("2019-07-18T00:00:00")))
    assert record.refused == dict(alarm["evidence"])["log_statistic"] > 0


def test_the_counts_by_difficulty_are_those_of_the_rows(newest):
    records = policy_records(newest)
    catalog, store = newest.catalog, newest.store
    labels = store.read(catalog.labels).select("pid", "quality")
    rows = store.read(catalog.predictions).join(labels, "pid").orderBy("pid").toPandas()
    spans = newest.registry.trained_spans()
    expected: Counter = Counter()
    for version, record in records.items():
        own = rows[rows["model_version"] == version]
        own = own[~own["process_time"].dt.tz_localize("UTC").between(*spans[version])]
        if len(own):
            bins = record.call_bins.bins(pa.Table.from_pandas(own[SENSORS]), own["prediction"].to_numpy())
            hours = own["process_time"].dt.floor("h").dt.tz_localize("UTC")
            wrong = (own["prediction"] != own["quality"]).astype(int)
            for hour, place, error in zip(hours, bins, wrong, strict=True):
                expected[hour, version, int(place), "labelled"] += 1
                expected[hour, version, int(place), "wrong"] += int(error)
    found: Counter = Counter()
    for row in store.rows(catalog.window_facts, columns=["window_start", "model_version", "by_difficulty"]):
        for each in row["by_difficulty"]:
            for kind in ("labelled", "wrong"):
                found[row["window_start"], row["model_version"], each["bin"], kind] += each[kind]
    assert +found == +expected
    assert {version for _, version, _, _ in found} == {"1", "2"}
    assert len({place for _, _, place, _ in found}) > 5


def test_labels_that_come_after_a_promotion_count_as_the_new_champion_would_have_called_them(plant):
    lakehouse = plant.at("newest")
    evidence = Evidence(lakehouse, history(plant.at("drifted")), moment("2019-07-18T00:00:00"))
    stale = evidence.calls(moment("2019-07-13T00:00:00"), moment("2019-07-15T00:00:00"))
    stale = stale[stale["_label_time"] > moment("2019-07-15T00:00:00")]
    assert set(stale["model_version"]) == {"1"}
    counts = evidence.row_counts(stale)
    assert set(counts.version) == {2}
    assert counts.wrong.mean() < 0.12 < (stale["prediction"] != stale["quality"]).mean()
    whole = evidence.counts
    told_since = evidence.calls(moment("2019-07-13T00:00:00"), None)
    told_since = told_since[told_since["_label_time"] > moment("2019-07-15T00:00:00")]
    assert whole.labelled.sum() == len(told_since) > 800
    dated = evidence.dated_counts(np.datetime64("2019-07-14T18", "us"))
    assert dated.wrong.sum() == whole.wrong.sum()
    assert len(dated.hour) > len(whole.hour)


def test_what_is_decided_on_is_by_hour_however_fine_the_windows_of_the_facts_are(newest):
    state, as_of = history(newest), moment("2019-07-18T00:00:00")
    by_hour, finer = Evidence(newest, state, as_of), Evidence(newest, state, as_of)
    later = pc.add(by_hour.hours["window_start"], pa.scalar(25 * 60 * 1_000_000, pa.duration("us")))
    finer.__dict__["hours"] = by_hour.hours.set_column(0, "window_start", later)
    assert len(by_hour.counts.hour) > 100
    for name in ("hour", "version", "bin", "labelled", "wrong"):
        assert (getattr(finer.counts, name) == getattr(by_hour.counts, name)).all()


def test_what_a_decision_and_a_training_read_is_bounded_by_the_rows_that_a_training_takes(plant, monkeypatch):
    lakehouse, most = plant.at("newest"), 300
    training = lakehouse.model.training.model_copy(update={"max_rows": most})
    bounded = replace(lakehouse, model=lakehouse.model.model_copy(update={"training": training}))
    state, as_of = history(plant.at("drifted")), moment("2019-07-18T00:00:00")
    whole, part = Evidence(lakehouse, state, as_of), Evidence(bounded, state, as_of)
    since, until = moment("2019-07-10T00:00:00"), moment("2019-07-14T00:00:00")
    for end in (None, until):
        found, expected = part.newest_calls(since, end), whole.newest_calls(since, end)
        assert most <= len(found) < most + 20 < len(expected)
        assert found["pid"].tolist() == expected["pid"].tolist()[-len(found) :]
    by_hour, dated = whole.counts, part.dated_counts(instant(since))
    first = dated.hour[dated.hour != dated.hour.astype("datetime64[h]")].min().astype("datetime64[h]")
    assert most - 20 <= (dated.hour >= first).sum() < most + 20
    assert dated.labelled.sum() == by_hour.labelled.sum()
    assert (dated.hour[dated.hour < first] == by_hour.hour[by_hour.hour < first]).all()
    assert set(part.recent(instant(since)).counts.hour) <= set(dated.hour)
    versions = lakehouse.store.versions(lakehouse.catalog.readings, lakehouse.catalog.labels)
    assert start_of_trainable(lakehouse, as_of) is None
    start = start_of_trainable(bounded, as_of)
    assert start > until
    monkeypatch.setattr("lakehouse.stations.label_batch._FIRST_STRETCH", dt.timedelta(hours=1))
    assert start_of_trainable(bounded, as_of) == start
    assert start_of_trainable(lakehouse, as_of) is None
    newest = labelled_rows(lakehouse, versions, as_of).tail(most).reset_index(drop=True)
    pd.testing.assert_frame_equal(labelled_rows(bounded, versions, as_of), newest)
    monkeypatch.setattr("lakehouse.stations.training.start_of_trainable", lambda *_: until)
    assert labelled_rows(lakehouse, versions, as_of)["process_time"].min() >= until


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
    evidence = Evidence(lakehouse, history(lakehouse), as_of)
    runs = len(lakehouse.registry.trained_spans())
    decision = Decision(RETRAIN, "shiryaev_roberts", ("it is back",), change_at=change, confidence=0.6)
    judged = train_by_policy(evidence, decision)
    assert judged.version.version == "1"
    assert judged.verdict.evidence["training_seconds"] > 0  # its choice
    assert not judged.verdict.promote  # no label has come since the champion was trained
    assert len(lakehouse.registry.trained_spans()) == runs
    record_verdict(lakehouse, as_of, "", judged.version, Verdict(True, ""), judged.record.to_json())
    state = history(lakehouse)
    assert (state.champion, state.before, state.epoch) == (1, 4, {1})
    assert state.champion_record.changed_at == change
    assert state.champion_record.reference == 1
    assert list(state.archive) == [1, 4]
    assert state.archive[4].end == change
    assert lakehouse.registry.champion() == "1"


def test_numbers_beyond_those_that_the_champion_was_trained_on_are_told(plant, tmp_path):
    lakehouse = plant.copy("told", tmp_path)  # with rows that the champion has called
    table, store = lakehouse.catalog.profile_metrics, lakehouse.store
    evidence = Evidence(lakehouse, history(lakehouse), moment("2019-07-15T00:00:00"))
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
    evidence = Evidence(lakehouse, history(lakehouse), promotions(lakehouse)[-1]["as_of"])
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
