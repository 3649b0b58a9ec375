import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lakehouse.labels.labelled_rows import LABEL_TIME
from lakehouse.models import load
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.promoted_models import LabelledFrame, PromotedModels
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.registry import git_commit
from lakehouse.versions.ledger import PromotionLedger
from tests.support.rows import moment, parcel_depot


def ledger(lakehouse, table) -> list:
    return sorted(
        lakehouse.store.rows(table), key=lambda row: row.get("decided_at") or row["recorded_at"]
    )


def runs_of(lakehouse) -> list:
    client = lakehouse.registry._client
    return client.search_runs(
        [client.get_experiment_by_name(lakehouse.model.name).experiment_id], max_results=1000
    )


def test_each_label_batch_is_decided_once_and_the_drift_is_seen(newest):
    decisions = ledger(newest, newest.catalog.decision)
    assert [(f"{row['as_of']:%m-%d}", row["action"]) for row in decisions] == [
        ("07-10", "train_first"),
        ("07-15", "retrain"),
        ("07-18", "retrain"),  # refused: what is left is the growth
        ("07-18", "refresh"),
    ]
    change = decisions[1]["change_at"]
    assert abs(change - moment("2019-07-12T19:00:00")).total_seconds() <= 3600
    between = decisions[1]["change_between"]
    assert between["from"] <= change <= between["to"] + dt.timedelta(hours=1)
    assert decisions[1]["confidence"] > 0.99
    assert decisions[1]["drift_kind"][0] == "concept"
    assert [region.split(" up to ")[0] for region in decisions[1]["region"]] == ["temp"]
    assert decisions[1]["region"][0].endswith("is no longer 1")
    assert decisions[1]["advice"] == "retrain"
    dated = ["; ".join(row["reasons"]).count("most probably ") for row in decisions]
    assert dated == [
        0,
        1,
        1,
        1,
    ]  # a change is dated once in each row: by the alarm, else by what is said of the drift
    assert f"most probably since {change:%Y-%m-%d}" in decisions[1]["reasons"][0]
    assert (
        f"(90 %: {between['from']:%Y-%m-%d %H:%M} to {between['to']:%Y-%m-%d %H:%M})"
        in decisions[1]["reasons"][0]
    )


def test_the_promotions_are_on_record_with_what_they_rest_on(newest):
    first, second, third, fourth = ledger(newest, newest.catalog.promotion)
    assert (first["action"], first["from_version"], first["to_version"]) == ("promote", None, "1")
    assert (second["action"], second["from_version"], second["to_version"]) == ("promote", "1", "2")
    assert (third["action"], third["from_version"], third["to_version"]) == ("refuse", "2", "3")
    assert (fourth["action"], fourth["from_version"], fourth["to_version"]) == ("promote", "2", "4")
    for row in (first, second, third, fourth):
        version = newest.registry.version(row["to_version"])
        assert row["who"] == "retrain_and_promote"
        assert row["model_sha256"] == version.sha256
        assert row["trained_rows"] == version.record.trained_rows
        assert dict(row["table_versions"]) == json.loads(version.record.table_versions)
        assert {"probability_better", "baseline_accuracy"} & set(dict(row["evidence"]))


def labelled_rows(lakehouse, version) -> pd.DataFrame:
    """Readings with labels at the Delta versions that the training recorded."""
    catalog, store = lakehouse.catalog, lakehouse.store
    read = json.loads(version.record.table_versions)
    readings = store.read(catalog.readings, read[catalog.readings.full_name])
    labels = store.read(catalog.labels, read[catalog.labels.full_name])
    wanted = labels.select("pid", "qualitycheck_time", "quality")
    frame = readings.join(wanted, "pid").orderBy("process_time").toPandas()
    for name in ("process_time", "qualitycheck_time"):
        frame[name] = frame[name].dt.tz_localize("UTC")
    return frame


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_version_can_be_trained_again_from_its_record(newest, number):
    version = newest.registry.version(number)
    rows = labelled_rows(newest, version)
    record = version.record
    policy = PolicyRecord.from_json(newest.registry.policy_record(version))
    frame = rows.rename(columns={"qualitycheck_time": LABEL_TIME})
    known = LabelledFrame(PromotedModels(PromotionLedger(newest)), frame, History()).rows
    mask = policy.version.row_rule.mask(known)
    taken, since = rows[mask], policy.version.changed_at
    weights = (
        np.ones(mask.sum())
        if since is None
        else np.where(known.event_time[mask] >= since, policy.new_weight, 1.0)
    )
    assert len(taken) == record.trained_rows
    assert (taken["process_time"].min(), taken["process_time"].max()) == (
        record.trained_from,
        record.trained_to,
    )
    assert rows["qualitycheck_time"].max() == record.as_of
    model = load(newest.registry.model_file(version), version.sha256)
    family = model.steps[-1][1]
    again = family.__class__(**family.get_params())
    again.fit(
        model[:-1].transform(taken[["temp", "pressure", "duration"]]),
        taken["quality"],
        sample_weight=weights,
    )
    recorded = model.predict_proba(rows[["temp", "pressure", "duration"]])
    assert (
        again.predict_proba(model[:-1].transform(rows[["temp", "pressure", "duration"]]))
        == recorded
    ).all()


def test_the_gate_compared_them_on_rows_that_neither_was_trained_on(newest):
    first, second = (newest.registry.version(number) for number in ("1", "2"))
    rows = labelled_rows(newest, second)
    since = rows["process_time"] >= second.record.changed_at
    new = rows[since & (rows["qualitycheck_time"] > first.record.as_of)]
    assert new["process_time"].min() > first.record.trained_to
    evidence = json.loads(second.record.verdict)["evidence"]
    assert evidence["rows"] == len(new)
    champion = load(newest.registry.model_file(first), first.sha256)
    right = champion.predict(new[["temp", "pressure", "duration"]]) == new["quality"]
    assert evidence["champion_accuracy"] == pytest.approx(right.mean())
    assert second.record.judged == since.sum()
    fitted = load(newest.registry.model_file(second), second.sha256)
    resubstituted = (
        fitted.predict(rows[since][["temp", "pressure", "duration"]]) != rows[since]["quality"]
    ).sum()
    assert second.record.wrong >= resubstituted  # cross-fitted, not judged on what it was fitted to


def test_every_trial_is_in_mlflow_with_what_it_was_made_from(newest):
    client = newest.registry._client
    runs = runs_of(newest)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    second = newest.registry.version("2")
    trials = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == second.run_id]
    assert second.run_id in {run.info.run_id for run in parents}
    assert {(run.data.params["window"], run.data.params["family"]) for run in trials} == {
        ("transfer from 1", "decision_tree"),
        ("transfer from 1", "logistic_regression"),
    }
    path = client.download_artifacts(second.run_id, "candidates.json")
    candidates = {each["candidate"]: each for each in json.loads(Path(path).read_text())}
    assert set(candidates) == {"transfer from 1", "since_change"}
    assert candidates["transfer from 1"]["rows"] == second.record.trained_rows
    read = json.loads(second.record.table_versions)["silver.quality_check"]
    for run in trials:
        assert set(run.data.metrics) == {"accuracy", "log_loss"}
        assert {"ccp_alpha", "C"} & set(run.data.params)
        assert run.data.tags["mlflow.source.git.commit"] == git_commit() != "unknown"
        source = json.loads(run.inputs.dataset_inputs[0].dataset.source)
        assert source == {
            "path": newest.store.path(newest.catalog.labels),
            "delta_table_version": read,
        }
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"input_example.json", "signature.json"} <= files
    best = max(run.data.metrics["accuracy"] for run in trials)
    assert 1 - second.record.wrong / second.record.judged == pytest.approx(best)


def test_the_baseline_is_the_profile_of_the_training_rows_and_of_those_that_they_contradict(newest):
    for number in ("1", "2"):
        version = newest.registry.version(number)
        rows = labelled_rows(newest, version)
        taken = rows  # of readings, or a feature would seem to have drifted where a rule has
        since = rows[
            rows["process_time"] >= (version.record.changed_at or rows["process_time"].min())
        ]
        columns = {each["name"]: each for each in newest.registry.baseline(version)["columns"]}
        assert set(columns) == {"temp", "pressure", "duration", "score", "prediction", "quality"}
        for name in ("temp", "pressure", "duration"):
            assert columns[name]["mean"] + columns[name]["mean_rest"] == pytest.approx(
                taken[name].mean(), rel=1e-12
            )
            assert sum(columns[name]["bin_counts"]) == len(taken)
        assert columns["quality"]["items"] == {
            str(k): v for k, v in since["quality"].value_counts().items()
        }
    edges = [
        {
            each["name"]: each["bin_edges"]
            for each in newest.registry.baseline(newest.registry.version(v))["columns"]
        }
        for v in ("1", "2")
    ]
    assert edges[0] == edges[1]  # or hours of two versions would not add up


def move_alias(lakehouse, version: str) -> None:
    lakehouse.registry.promote(version)


def test_a_run_that_was_killed_before_the_alias_moved_is_finished_by_the_next(plant, tmp_path):
    lakehouse = plant.copy("drifted", tmp_path)
    move_alias(lakehouse, "1")  # as it was when the ledger's row was written
    before = lakehouse.store.versions(lakehouse.catalog.decision, lakehouse.catalog.promotion)
    runs = len(runs_of(lakehouse))
    retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert (lakehouse.registry.champion(), len(runs_of(lakehouse))) == ("2", runs)
    assert (
        lakehouse.store.versions(lakehouse.catalog.decision, lakehouse.catalog.promotion) == before
    )


def test_a_run_that_was_killed_before_the_ledger_row_takes_up_what_was_registered(plant, tmp_path):
    lakehouse = plant.copy("drifted", tmp_path)
    expected = ledger(lakehouse, lakehouse.catalog.promotion)[-1]
    table = Path(lakehouse.store.path(lakehouse.catalog.promotion))
    shutil.rmtree(table)
    shutil.copytree(plant.at("first").store.path(lakehouse.catalog.promotion), table)
    move_alias(lakehouse, "1")
    runs = len(runs_of(lakehouse))
    assert retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert lakehouse.registry.champion() == "2"
    assert len(runs_of(lakehouse)) == runs
    found = ledger(lakehouse, lakehouse.catalog.promotion)[-1]
    assert {**found, "recorded_at": None} == {**expected, "recorded_at": None}
    assert len(ledger(lakehouse, lakehouse.catalog.decision)) == 2


def test_a_second_run_as_of_the_same_labels_decides_nothing_anew(plant, tmp_path):
    lakehouse = plant.copy("drifted", tmp_path)
    before = lakehouse.store.versions(*lakehouse.catalog.tables)
    assert not retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert lakehouse.store.versions(*lakehouse.catalog.tables) == before


def test_a_second_model_of_another_shape_is_trained_from_its_yaml_file_alone(spark):
    depot = parcel_depot(spark)
    assert depot.registry.champion() == "1"
    [row] = ledger(depot, depot.catalog.promotion)
    assert dict(row["evidence"])["challenger_accuracy"] > 0.95
    decisions = ledger(depot, depot.catalog.decision)
    assert [row["action"] for row in decisions] == ["train_first", "keep"]
