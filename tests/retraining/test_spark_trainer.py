"""A training through Spark and MLflow: of a number, of what scikit-learn refuses, and what is kept
of it.
"""

import datetime as dt
import json
from dataclasses import asdict, replace

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from lakehouse.errors import TrainingError
from lakehouse.models import features_of, load
from lakehouse.profiling.profile import statistics_of
from lakehouse.retraining.policy.candidates.choice import (
    EVERYTHING,
    FOLDS,
    Candidate,
    Fitted,
    fold_of,
)
from lakehouse.retraining.policy.decide import RETRAIN, TRAIN_FIRST, Decision
from lakehouse.retraining.policy.difference import Difference
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.gate import GateResult
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.promoted_models import PromotedModels
from lakehouse.retraining.spark_trainer import SparkTrainer, _result_of
from lakehouse.storage.training_record import ModelVersion, TrainingRecord
from lakehouse.versions.ledger import PromotionLedger
from tests.support.rows import (
    DEARER,
    decisions,
    moment,
    promotions,
    repairs,
)

DEARER_SINCE = moment("2024-05-01T00:30:00") + dt.timedelta(minutes=10 * DEARER)


def labelled(shop, n: int) -> pd.DataFrame:
    """The first rows with their labels, as they were landed."""
    readings, invoices = repairs()
    return pd.DataFrame(readings[:n]).merge(pd.DataFrame(invoices[:n]), on="claim_no")


def signature_of(lakehouse, number: str):
    run_id = lakehouse.registry.version(number).run_id
    return mlflow.models.Model.load(
        lakehouse.registry._client.download_artifacts(run_id, "model")
    ).signature


def test_a_third_model_that_predicts_a_number_is_trained_from_its_yaml_file_alone(shop):
    lakehouse = shop.lakehouse
    row = min(lakehouse.store.rows(lakehouse.catalog.promotion), key=lambda each: each["as_of"])
    assert (row["action"], row["to_version"]) == ("promote", "1")
    evidence = dict(row["evidence"])
    assert evidence["challenger_r2_score"] > 0.9
    assert evidence["rows"] == 160
    assert 0.05 < evidence["training_seconds"] < 600
    record = lakehouse.registry.version("1").record
    assert record.judged == 160
    assert 0 < record.wrong < 80
    assert evidence["challenger_within_tolerance"] == pytest.approx(
        1 - record.wrong / record.judged
    )


def test_the_figures_of_a_version_are_those_of_its_trial_in_mlflow(shop):
    registry = shop.lakehouse.registry
    version = registry.version("1")
    experiment = registry._client.get_experiment_by_name("repair").experiment_id
    runs = registry._client.search_runs(
        [experiment], f"tags.mlflow.parentRunId = '{version.run_id}'"
    )
    assert {run.data.params["family"] for run in runs} == {"decision_tree", "ridge_regression"}
    evidence = dict(promotions(shop.lakehouse)[0]["evidence"])
    model = load(registry.model_file(version), version.sha256)
    family = {"Ridge": "ridge_regression", "DecisionTreeRegressor": "decision_tree"}[
        type(model[-1]).__name__
    ]
    [figures] = [run.data.metrics for run in runs if run.data.params["family"] == family]
    assert figures["r2_score"] == evidence["challenger_r2_score"]
    assert figures["mean_absolute_error"] == evidence["challenger_mean_absolute_error"]
    rows = labelled(shop, 160)
    inside = r2_score(rows["cost"], model.predict(features_of(shop.lakehouse.model).frame(rows)))
    assert (
        evidence["challenger_r2_score"] < inside
    )  # cross-fitted, not judged on what it was fitted to


def test_the_baseline_of_a_regression_has_numbers_in_bins_for_prediction_and_label(shop):
    lakehouse = shop.lakehouse
    baseline = PromotionLedger(lakehouse).baseline("1")
    assert list(baseline) == [
        "workshop",
        "panels",
        "years",
        "towed",
        "photographed_at",
        "prediction",
        "cost",
    ]
    costs = labelled(shop, 160)["cost"]
    for name in ("prediction", "cost"):
        assert (baseline[name].spec.data_type, baseline[name].spec.kind) == ("double", "numeric")
        assert sum(baseline[name].bin_counts) == 160
        assert len(baseline[name].bin_edges) >= 4
    assert baseline["prediction"].bin_edges != baseline["cost"].bin_edges
    assert baseline["cost"].min == pytest.approx(costs.min())
    assert statistics_of(baseline["cost"])["avg"] == pytest.approx(costs.mean())
    assert statistics_of(baseline["prediction"])["avg"] == pytest.approx(costs.mean(), rel=0.05)


def test_the_signature_names_the_type_of_each_feature_though_the_first_rows_are_empty(shop, depot):
    inputs = {each.name: each.type.name for each in signature_of(shop.lakehouse, "1").inputs.inputs}
    assert inputs == {
        "workshop": "string",
        "panels": "double",
        "years": "double",
        "towed": "double",
    }
    assert [
        (each.name, each.type.name) for each in signature_of(shop.lakehouse, "1").outputs.inputs
    ] == [("cost", "double")]
    parcel = signature_of(depot, "1")
    inputs = {each.name: (each.type.name, each.required) for each in parcel.inputs.inputs}
    assert inputs == {
        "lane": ("string", False),
        "grams": ("double", False),
        "fragile": ("double", False),
        "found": ("double", False),
    }


def test_a_repair_that_has_become_dearer_is_noticed_and_the_challenger_takes_over_by_the_rows_it_predicts_better(
    shop,
):
    lakehouse = shop.lakehouse
    alarm = decisions(lakehouse)[-1]
    assert (alarm["action"], alarm["rule"], alarm["drift_kind"][0]) == (
        RETRAIN,
        "shiryaev_roberts",
        "concept",
    )
    assert abs(alarm["change_at"] - DEARER_SINCE) <= dt.timedelta(hours=2)
    assert all(
        each.endswith("is no longer predicted within the tolerance") for each in alarm["region"]
    )
    row = promotions(lakehouse)[-1]
    assert (row["action"], row["from_version"], row["to_version"]) == ("promote", "1", "2")
    evidence, version = dict(row["evidence"]), lakehouse.registry.version("2")
    rows = labelled(shop, 290)
    rows = rows[rows["reported_at"] >= version.record.changed_at.isoformat()]
    assert evidence["rows"] == version.record.judged == len(rows) <= 95
    first = lakehouse.registry.version("1")
    champion = load(lakehouse.registry.model_file(first), first.sha256)
    error = np.abs(champion.predict(features_of(lakehouse.model).frame(rows)) - rows["cost"])
    assert evidence["champion_mean_absolute_error"] == pytest.approx(error.mean())
    assert evidence["champion_within_tolerance"] == pytest.approx((error <= 50).mean())
    assert evidence["challenger_mean_absolute_error"] < error.mean() / 2
    edges = [
        {n: p.bin_edges for n, p in PromotionLedger(lakehouse).baseline(each).items()}
        for each in ("1", "2")
    ]
    assert edges[0] == edges[1]  # or hours of two versions would not add up


def test_the_facts_of_a_regression_count_errors_by_expected_error(shop):
    lakehouse = shop.lakehouse
    rows = lakehouse.store.rows(
        lakehouse.catalog.window_facts, columns=["quality", "by_difficulty"]
    )
    counts = [each for row in rows for each in row["by_difficulty"]]
    assert (
        sum(each["labelled"] for each in counts) == 130
    )  # of rows that version 1 was not trained on
    right = sum(row["quality"]["n_right"] for row in rows)
    labelled_rows = sum(row["quality"]["n_labelled"] for row in rows)
    in_training = 160
    assert sum(each["wrong"] for each in counts) <= labelled_rows - right
    assert labelled_rows == 130 + in_training
    assert len({each["bin"] for each in counts}) > 1
    assert (
        PolicyRecord.from_json(PromotionLedger(lakehouse).policy_records["1"]).error_bins.names[0]
        == "panels"
    )


def refusing(depot):
    """Settings whose only family scikit-learn accepts as a setting, and refuses to fit."""
    families = {"logistic_regression": {"l1_ratio": [1.0]}}
    training = depot.model.training.model_copy(update={"families": families})
    return replace(depot, model=depot.model.model_copy(update={"training": training}))


def test_a_training_that_scikit_learn_refuses_is_an_error_in_words(depot):
    depot = refusing(depot)
    as_of = moment("2024-03-04T00:00:00")
    trainer = SparkTrainer(
        PromotedModels(PromotionLedger(depot)),
        Decision(TRAIN_FIRST, "first_model", ("",)),
        as_of,
        History(),
    )
    judged = np.ones(len(trainer.labelled.rows), dtype=bool)
    everything = Candidate("everything")
    says = r"^training\.families: no candidate could be fitted: scikit-learn: Solver lbfgs supports only"
    with pytest.raises(TrainingError, match=says):
        trainer.cross_fit([everything], judged)
    weights = np.ones(len(judged))
    folds = tuple(np.where(fold_of(judged) == out, 0.0, weights) for out in range(FOLDS))
    fitted = Fitted(everything, EVERYTHING, weights, trainer.labelled.rows.labels, judged, folds)
    with pytest.raises(
        TrainingError,
        match=r"^training\.families: no trial could be fitted: scikit-learn: Solver lbfgs",
    ):
        trainer.fit(fitted, judged)


def test_a_result_that_was_kept_with_its_run_is_taken_up_whole() -> None:
    where = Difference("temp up to 354", "0 instead of 1", 5, 4, 3, 1)
    result = GateResult(True, "better", {"rows": 50.0}, (where,))
    record = TrainingRecord(
        *(
            DEARER_SINCE,
            DEARER_SINCE,
            DEARER_SINCE,
            9,
            None,
            0,
            9,
            1,
            json.dumps(asdict(result)),
            "{}",
        )
    )
    assert _result_of(ModelVersion("2", "run", "digest", record)) == result
    old = replace(record, verdict='{"promote": false, "reason": "worse", "evidence": {}}')
    assert _result_of(ModelVersion("2", "run", "digest", old)) == GateResult(False, "worse")
