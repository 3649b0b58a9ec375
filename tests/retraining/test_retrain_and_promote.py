"""Two nights of the loop over Delta tables and MLflow: what it decides, trains and promotes is on
record, and a run that was killed goes on where the ledgers end.
"""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.labels.labelled_rows import LABEL_TIME
from lakehouse.models import load
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.promoted_models import LabelledFrame, PromotedModels
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.registry import git_commit
from lakehouse.versions.ledger import PromotionLedger
from tests.support.rows import decisions, promotions
from tests.support.small_model import at, small_lakehouse
from tests.support.written import (
    A_DAY,
    CHANGED,
    aggregate,
    copy_of,
    of_two_families,
    told_at,
    write_labels,
    write_predictions,
    write_readings,
)

FEATURES = ["x", "z"]
FIRST_NIGHT, SECOND_NIGHT = told_at(A_DAY - 1), told_at(4 * A_DAY - 1)


@pytest.fixture(scope="module")
def works(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """A first model came; the rule changed at `CHANGED`, and the labels of that day have come.

    A quarter of the first model's predictions are wrong since then, which no tuning overlooks.
    """
    lakehouse = small_lakehouse(spark, tmp_path_factory.mktemp("loop") / "lake", of_two_families)
    write_readings(lakehouse, range(5 * A_DAY))
    write_labels(lakehouse, range(A_DAY))
    assert retrain_and_promote(lakehouse, AVAILABLE_NOW)
    write_predictions(lakehouse, range(5 * A_DAY), "1")
    write_labels(lakehouse, range(A_DAY, 4 * A_DAY))
    aggregate(lakehouse, 0, 5 * A_DAY - 1, SECOND_NIGHT)
    assert retrain_and_promote(lakehouse, AVAILABLE_NOW)
    return lakehouse


@pytest.fixture
def lakehouse(works: Lakehouse, tmp_path: Path) -> Lakehouse:
    """A copy to write to."""
    return copy_of(works, tmp_path / "lake", of_two_families)


def runs_of(lakehouse: Lakehouse) -> list[Any]:
    client = lakehouse.registry._client
    return client.search_runs(
        [client.get_experiment_by_name(lakehouse.model.name).experiment_id], max_results=1000
    )


def test_each_label_batch_is_decided_once_and_the_drift_is_seen(works: Lakehouse) -> None:
    first, second = decisions(works)
    assert (first["as_of"], first["action"]) == (FIRST_NIGHT, "train_first")
    assert (second["as_of"], second["action"]) == (SECOND_NIGHT, "retrain")
    change, between = second["change_at"], second["change_between"]
    assert abs(change - at(CHANGED)) <= dt.timedelta(hours=3)
    assert between["from"] <= change <= between["to"] + dt.timedelta(hours=1)
    assert second["confidence"] > 0.99
    assert second["drift_kind"][0] == "concept"
    assert [region.split(" ")[0] for region in second["region"]] == ["z"]
    assert second["region"][0].endswith("is no longer ok")
    assert second["advice"] == "retrain"
    # A change is dated once in each row.
    assert ["; ".join(row["reasons"]).count("most probably ") for row in (first, second)] == [0, 1]
    assert f"most probably since {change:%Y-%m-%d}" in second["reasons"][0]
    assert (
        f"(90 %: {between['from']:%Y-%m-%d %H:%M} to {between['to']:%Y-%m-%d %H:%M})"
        in second["reasons"][0]
    )


def test_the_promotions_are_on_record_with_what_they_rest_on(works: Lakehouse) -> None:
    first, second = promotions(works)
    assert (first["action"], first["from_version"], first["to_version"]) == ("promote", None, "1")
    assert (second["action"], second["from_version"], second["to_version"]) == ("promote", "1", "2")
    for row in (first, second):
        version, evidence = works.registry.version(row["to_version"]), dict(row["evidence"])
        assert row["who"] == "retrain_and_promote"
        assert row["model_sha256"] == version.sha256
        assert row["trained_rows"] == version.record.trained_rows
        assert dict(row["table_versions"]) == json.loads(version.record.table_versions)
        assert {"probability_better", "baseline_accuracy"} & set(evidence)
        assert 0.01 < evidence["training_seconds"] < 600
    assert works.registry.champion() == "2"


def labelled_rows(lakehouse: Lakehouse, version: Any) -> pd.DataFrame:
    """Readings with labels at the Delta versions that the training recorded."""
    catalog, store = lakehouse.catalog, lakehouse.store
    read = json.loads(version.record.table_versions)
    readings, labels = (
        store.arrow(table, columns=columns, version=read[table.full_name]).to_pandas()
        for table, columns in (
            (catalog.readings, ["id", "at", *FEATURES]),
            (catalog.labels, ["id", "told", "y"]),
        )
    )
    return readings.merge(labels, on="id").sort_values("at", ignore_index=True)


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_version_can_be_trained_again_from_its_record(works: Lakehouse, number: str) -> None:
    version = works.registry.version(number)
    rows, record = labelled_rows(works, version), version.record
    policy = PolicyRecord.from_json(works.registry.policy_record(version))
    frame = rows.rename(columns={"told": LABEL_TIME})
    known = LabelledFrame(PromotedModels(PromotionLedger(works)), frame, History()).rows
    mask = policy.version.row_rule.mask(known)
    taken, since = rows[mask], policy.version.changed_at
    weights = (
        np.ones(mask.sum())
        if since is None
        else np.where(known.event_time[mask] >= since, policy.new_weight, 1.0)
    )
    assert len(taken) == record.trained_rows
    assert (taken["at"].min(), taken["at"].max()) == (record.trained_from, record.trained_to)
    assert rows["told"].max() == record.as_of
    model = load(works.registry.model_file(version), version.sha256)
    family = model.steps[-1][1]
    again = family.__class__(**family.get_params())
    again.fit(model[:-1].transform(taken[FEATURES]), known.labels[mask], sample_weight=weights)
    np.testing.assert_array_equal(
        again.predict_proba(model[:-1].transform(rows[FEATURES])),
        model.predict_proba(rows[FEATURES]),
    )


def is_right(model: Any, rows: pd.DataFrame) -> pd.Series:
    """Whether a model of codes predicts the label: broken is 0, ok is 1."""
    return model.predict(rows[FEATURES]) == (rows["y"] == "ok").astype(int)


def test_the_gate_compared_them_on_rows_that_neither_was_trained_on(works: Lakehouse) -> None:
    first, second = (works.registry.version(number) for number in ("1", "2"))
    rows = labelled_rows(works, second)
    since = rows["at"] >= second.record.changed_at
    new = rows[since & (rows["told"] > first.record.as_of)]
    assert new["at"].min() > first.record.trained_to
    evidence = json.loads(second.record.verdict)["evidence"]
    assert evidence["rows"] == len(new)
    champion = load(works.registry.model_file(first), first.sha256)
    assert evidence["champion_accuracy"] == pytest.approx(is_right(champion, new).mean())
    assert second.record.judged == since.sum()
    fitted = load(works.registry.model_file(second), second.sha256)
    resubstituted = (~is_right(fitted, rows[since])).sum()
    assert second.record.wrong >= resubstituted  # cross-fitted, not judged on what it was fitted to


def test_every_trial_is_in_mlflow_with_what_it_was_made_from(works: Lakehouse) -> None:
    client, runs = works.registry._client, runs_of(works)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    second = works.registry.version("2")
    trials = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == second.run_id]
    assert second.run_id in {run.info.run_id for run in parents}
    chosen = PolicyRecord.from_json(works.registry.policy_record(second)).candidate
    assert {(run.data.params["window"], run.data.params["family"]) for run in trials} == {
        (chosen, "decision_tree"),
        (chosen, "logistic_regression"),
    }
    path = client.download_artifacts(second.run_id, "candidates.json")
    candidates = {each["candidate"]: each for each in json.loads(Path(path).read_text())}
    windows = {"last 30 days", "last 7 days", "last 3 days"}
    assert set(candidates) == {"transfer from 1", "since_change", "everything"} | windows
    assert candidates[chosen]["rows"] == second.record.trained_rows
    read = json.loads(second.record.table_versions)["silver.truth"]
    for run in trials:
        assert set(run.data.metrics) == {"accuracy", "log_loss"}
        assert {"max_depth", "C"} & set(run.data.params)
        assert run.data.tags["mlflow.source.git.commit"] == git_commit() != "unknown"
        source = json.loads(run.inputs.dataset_inputs[0].dataset.source)
        labels = works.store.path(works.catalog.labels)
        assert source == {"path": labels, "delta_table_version": read}
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"input_example.json", "signature.json"} <= files
    accuracies = [run.data.metrics["accuracy"] for run in trials]
    right = 1 - second.record.wrong / second.record.judged
    assert min(abs(right - each) for each in accuracies) < 1e-9


def test_the_baseline_is_the_profile_of_the_training_rows_and_of_those_that_they_contradict(
    works: Lakehouse,
) -> None:
    edges = []
    for number in ("1", "2"):
        version = works.registry.version(number)
        rows = labelled_rows(works, version)
        policy = PolicyRecord.from_json(works.registry.policy_record(version)).version
        # Of readings, with those that later ones contradict: or a feature would seem to have
        # drifted where a rule has.
        is_of_rule = policy.row_rule.segments[0].start is None
        taken = rows if is_of_rule else rows[rows["at"] >= version.record.changed_at]
        since = rows[rows["at"] >= (version.record.changed_at or rows["at"].min())]
        columns = {each["name"]: each for each in works.registry.baseline(version)["columns"]}
        assert set(columns) == {*FEATURES, "score", "prediction", "y"}
        for name in FEATURES:
            mean = columns[name]["mean"] + columns[name]["mean_rest"]
            assert mean == pytest.approx(taken[name].mean(), rel=1e-12)
            assert sum(columns[name]["bin_counts"]) == len(taken)
        assert columns["y"]["items"] == since["y"].value_counts().to_dict()
        edges.append({name: each["bin_edges"] for name, each in columns.items()})
    assert edges[0] == edges[1]  # or hours of two versions would not add up


def test_a_run_that_was_killed_before_the_alias_moved_is_finished_by_the_next(
    lakehouse: Lakehouse,
) -> None:
    lakehouse.registry.promote("1")  # as it was when the ledger's row was written
    before = lakehouse.store.versions(lakehouse.catalog.decision, lakehouse.catalog.promotion)
    runs = len(runs_of(lakehouse))
    retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert (lakehouse.registry.champion(), len(runs_of(lakehouse))) == ("2", runs)
    assert (
        lakehouse.store.versions(lakehouse.catalog.decision, lakehouse.catalog.promotion) == before
    )


def test_a_run_that_was_killed_before_the_ledger_row_takes_up_what_was_registered(
    lakehouse: Lakehouse,
) -> None:
    expected, table = promotions(lakehouse)[-1], lakehouse.catalog.promotion
    DeltaTable(lakehouse.store.path(table)).restore(lakehouse.store.version(table) - 1)
    lakehouse.registry.promote("1")
    runs = len(runs_of(lakehouse))
    assert retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert lakehouse.registry.champion() == "2"
    assert len(runs_of(lakehouse)) == runs
    found = promotions(lakehouse)[-1]
    assert {**found, "recorded_at": None} == {**expected, "recorded_at": None}
    assert len(decisions(lakehouse)) == 2


def test_a_second_run_as_of_the_same_labels_decides_nothing_anew(lakehouse: Lakehouse) -> None:
    before = lakehouse.store.versions(*lakehouse.catalog.tables)
    assert not retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert lakehouse.store.versions(*lakehouse.catalog.tables) == before
