"""A training of a number, of refused challengers, and what MLflow is told: on copies of the small lakehouses."""

import datetime as dt
from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from lakehouse.errors import TrainingError
from lakehouse.estimators import Failed, Features, features_of, load, problem_of
from lakehouse.stations import training
from lakehouse.stations.promotion import LOOP, promotions, trained_or_refused
from lakehouse.stations.rollback import rollback
from lakehouse.stations.training import baseline_of, train, verdict_of
from lakehouse.statistics.profile import statistics_of
from lakehouse.steps.decide import REFRESH, RETRAIN, Decision
from tests.rows import DEARER, moment, parcel_depot, repair_shop, repairs

DEARER_SINCE = moment("2024-05-01T00:30:00") + dt.timedelta(minutes=10 * DEARER)
AS_OF = moment("2024-05-09T00:00:00")  # later than any label: no training is on record for it
AGAIN = Decision(RETRAIN, "cusum", ("dearer",), change_at=DEARER_SINCE)


@pytest.fixture(scope="module")
def shop(spark):
    return repair_shop(spark)


@pytest.fixture
def copy(shop, tmp_path):
    """A copy to train in, with the first model in production."""
    lakehouse = shop.copy(tmp_path)
    rollback(lakehouse, "a test", "to train in")
    return lakehouse


def labelled(shop, n: int) -> pd.DataFrame:
    """The first rows with their labels, as they were landed."""
    readings, invoices = repairs()
    return pd.DataFrame(readings[:n]).merge(pd.DataFrame(invoices[:n]), on="claim_no")


def signature_of(lakehouse, number: str):
    run_id = lakehouse.registry.version(number).run_id
    return mlflow.models.Model.load(lakehouse.registry._client.download_artifacts(run_id, "model")).signature


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
    assert evidence["challenger_within_tolerance"] == pytest.approx(1 - record.wrong / record.judged)


def test_the_trial_of_the_least_squared_error_was_chosen_and_its_figures_are_those_of_its_predictions(shop):
    registry = shop.lakehouse.registry
    version = registry.version("1")
    experiment = registry._client.get_experiment_by_name("repair").experiment_id
    runs = registry._client.search_runs([experiment], f"tags.mlflow.parentRunId = '{version.run_id}'")
    assert {run.data.params["family"] for run in runs} == {"decision_tree", "ridge_regression"}
    figures = min((run.data.metrics for run in runs), key=lambda metrics: metrics["mean_squared_error"])
    evidence = verdict_of(version).evidence
    assert figures["r2_score"] == evidence["challenger_r2_score"]
    assert figures["mean_absolute_error"] == evidence["challenger_mean_absolute_error"]
    rows = labelled(shop, 160)
    model = load(registry.model_file(version), version.sha256)
    inside = r2_score(rows["cost"], model.predict(features_of(shop.lakehouse.model).frame(rows)))
    assert evidence["challenger_r2_score"] < inside  # cross-fitted, not judged on what it was fitted to


def test_the_baseline_of_a_regression_has_numbers_in_bins_for_prediction_and_label(shop):
    lakehouse = shop.lakehouse
    baseline = baseline_of(lakehouse, lakehouse.registry.version("1"))
    assert list(baseline) == ["workshop", "panels", "years", "towed", "photographed_at", "prediction", "cost"]
    costs = labelled(shop, 160)["cost"]
    for name in ("prediction", "cost"):
        assert (baseline[name].spec.data_type, baseline[name].spec.kind) == ("double", "numeric")
        assert sum(baseline[name].bin_counts) == 160
        assert len(baseline[name].bin_edges) >= 4
    assert baseline["prediction"].bin_edges != baseline["cost"].bin_edges
    assert baseline["cost"].min == pytest.approx(costs.min())
    assert statistics_of(baseline["cost"])["avg"] == pytest.approx(costs.mean())
    assert statistics_of(baseline["prediction"])["avg"] == pytest.approx(costs.mean(), rel=0.05)


def test_the_signature_names_the_type_of_each_feature_though_the_first_rows_are_empty(shop, spark):
    inputs = {each.name: each.type.name for each in signature_of(shop.lakehouse, "1").inputs.inputs}
    assert inputs == {"workshop": "string", "panels": "double", "years": "double", "towed": "double"}
    assert [(each.name, each.type.name) for each in signature_of(shop.lakehouse, "1").outputs.inputs] == [
        ("cost", "double")
    ]
    parcel = signature_of(parcel_depot(spark), "1")
    inputs = {each.name: (each.type.name, each.required) for each in parcel.inputs.inputs}
    assert inputs == {
        "lane": ("string", False),
        "grams": ("double", False),
        "fragile": ("double", False),
        "found": ("double", False),
    }


def test_a_challenger_that_learned_the_change_takes_over_by_the_rows_that_it_predicts_better(copy, shop):
    version = train(copy, AGAIN, AS_OF)
    verdict = verdict_of(version)
    assert verdict.promote
    rows = labelled(shop, 290).iloc[DEARER:]
    assert verdict.evidence["rows"] == version.record.judged == len(rows) == 90
    first = copy.registry.version("1")
    champion = load(copy.registry.model_file(first), first.sha256)
    found = champion.predict(rows[["workshop", "panels", "years", "towed"]])
    error = np.abs(found - rows["cost"])
    assert verdict.evidence["champion_mean_absolute_error"] == pytest.approx(error.mean())
    assert verdict.evidence["champion_within_tolerance"] == pytest.approx((error <= 50).mean())
    assert verdict.evidence["challenger_mean_absolute_error"] < error.mean() / 2
    assert verdict.evidence["won"] + verdict.evidence["lost"] <= 90
    assert version.record.trained_from >= DEARER_SINCE
    edges = [{n: p.bin_edges for n, p in baseline_of(copy, each).items()} for each in (first, version)]
    assert edges[0] == edges[1]  # or hours of two versions would not add up


def spoiled(change):
    """`_run` with other results."""
    real = training._run
    return lambda *given: [change(result) for result in real(*given)]


@pytest.mark.parametrize("action", [RETRAIN, REFRESH])
def test_a_challenger_whose_output_is_no_number_is_refused_with_the_reason(copy, monkeypatch, action):
    monkeypatch.setattr(training, "_run", spoiled(lambda each: replace(each, outputs=each.outputs * np.nan)))
    version = train(copy, replace(AGAIN, action=action), AS_OF)
    verdict = verdict_of(version)
    assert not verdict.promote
    assert verdict.reason == "the challenger may not take over: its output is not a finite number for 90 of 90 rows"


def test_a_champion_that_reads_other_columns_is_compared_by_those_that_it_was_trained_on(copy, monkeypatch):
    def shrunk(*given):
        data = real(*given)
        return replace(data, features=Features(("panels",), ()))

    real = training.training_set
    monkeypatch.setattr(training, "training_set", shrunk)
    evidence = verdict_of(train(copy, AGAIN, AS_OF)).evidence
    assert evidence["won"] + evidence["lost"] == 90


def test_rows_that_are_too_few_give_no_version(copy):
    assert train(copy, replace(AGAIN, change_at=moment("2024-06-01T00:00:00")), AS_OF) is None


def test_a_training_that_gives_no_challenger_is_refused_on_record_and_one_that_gives_one_is_not(copy):
    def refused():
        raise TrainingError("training.families: no trial could be fitted")

    before = promotions(copy)
    assert trained_or_refused(copy, AS_OF, lambda: "a challenger") == "a challenger"
    assert promotions(copy) == before
    for give, why in ((lambda: None, problem_of(copy.model).too_few), (refused, "no trial could be fitted")):
        assert trained_or_refused(copy, AS_OF, give) is None
        row = promotions(copy)[-1]
        assert (row["as_of"], row["action"], row["who"], row["to_version"]) == (AS_OF, "refuse", LOOP, None)
        assert row["reason"].endswith(why)
        assert dict(row["evidence"])["training_seconds"] >= 0


def test_a_training_that_scikit_learn_refuses_is_an_error_in_words(copy, monkeypatch):
    monkeypatch.setattr(training, "_run", spoiled(lambda _: Failed("scikit-learn: no")))
    with pytest.raises(TrainingError, match=r"^training\.families: no trial could be fitted: scikit-learn: no$"):
        train(copy, AGAIN, AS_OF)


def test_a_best_trial_that_cannot_be_fitted_to_its_whole_window_is_an_error_in_words(copy, monkeypatch):
    def refusing(*_):
        raise ValueError("The least populated class has only 1 member")

    monkeypatch.setattr(training, "fit", refusing)
    with pytest.raises(TrainingError, match=r"since_change .*: The least populated class has only 1 member$"):
        train(copy, AGAIN, AS_OF)
