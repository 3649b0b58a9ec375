import datetime as dt
from dataclasses import replace

import mlflow
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from lakehouse.errors import RegistryError
from lakehouse.models import CrossFit, Failed, Trial, load
from lakehouse.storage.mlflow_client import Sample
from lakehouse.storage.mlflow_place import Place
from lakehouse.storage.registry import Registry, TrainingData
from lakehouse.storage.training_record import TrainingRecord
from tests.support.rows import moment

pytestmark = pytest.mark.slow  # MLflow sets up a database

RECORD = TrainingRecord(
    as_of=moment("2024-03-02T00:00:00"),
    trained_from=moment("2024-02-01T00:00:00.000001"),
    trained_to=moment("2024-03-01T00:00:00"),
    trained_rows=100,
    changed_at=None,
    since_change=0,
    judged=100,
    wrong=6,
    verdict='{"promote": true}',
    table_versions='{"silver.x": 0}',
    action="retrain",
)
EXAMPLE = pd.DataFrame({"x": [0.0, 1.0]})
CODES = pd.Series([0, 1], name="quality")
SAMPLE = Sample(EXAMPLE, CODES)
MEANING = '{"classes": ["é", "b"]}'


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Registry:
    folder = tmp_path_factory.mktemp("mlflow")
    return Registry(
        "glassware", Place(f"sqlite:///{folder}/new/mlflow.db", str(folder / "artifacts"))
    )


@pytest.fixture(scope="module")
def first(registry):
    trials = [(Trial("everything", "decision_tree", {"max_depth": 1}), Failed("scikit-learn: no"))]
    run = registry.log_training("first", TrainingData("/lake/silver/x", 0, 2), trials, SAMPLE)
    model = make_pipeline(DecisionTreeClassifier()).fit(EXAMPLE, CODES)
    return registry.register(run, model, RECORD, {"columns": [1, "é"]}, MEANING, SAMPLE)


@pytest.mark.parametrize("changed_at", [None, dt.datetime(2024, 2, 20, 1, tzinfo=dt.UTC)])
def test_a_record_survives_its_tags(changed_at):
    record = replace(RECORD, changed_at=changed_at)
    assert TrainingRecord.from_tags(record.to_tags()) == record


def test_a_registered_version_comes_back_with_its_record_its_file_and_its_baseline(registry, first):
    assert registry.version(first.version) == first
    assert first.record == RECORD
    model = load(registry.model_file(first), first.sha256)
    assert model.predict(EXAMPLE).tolist() == [0, 1]
    assert registry.baseline(first) == {"columns": [1, "é"]}
    assert registry.meaning(first) == MEANING


def test_a_cut_off_training_is_found_by_its_as_of_and_what_was_decided(registry, first):
    assert registry.trained_as_of(RECORD.as_of, "retrain") == first
    assert (
        registry.trained_as_of(RECORD.as_of, "refresh") is None
    )  # an alarm's challenger may be refused before
    assert registry.trained_as_of(RECORD.as_of + dt.timedelta(days=1), "retrain") is None


def test_there_is_no_champion_before_a_promotion_and_then_the_promoted_one(
    tmp_path, registry, first
):
    empty = Registry("other", Place(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path)))
    assert empty.champion() is None
    registry.promote(first.version)
    assert registry.champion() == first.version


def test_a_version_that_is_not_there_is_an_error_in_words(registry):
    with pytest.raises(RegistryError, match="glassware has no version 77 in the registry"):
        registry.version("77")


def test_a_version_that_somebody_else_registered_is_refused(registry, first):
    made = registry._client.create_model_version("glassware", "runs:/x/model", first.run_id)
    with pytest.raises(
        RegistryError, match="only versions that retrain_and_promote registered can be champion"
    ):
        registry.version(str(made.version))


def test_a_file_that_is_gone_is_an_error_in_words(registry, first):
    with pytest.raises(RegistryError, match=r"model/model.skops is not in the artifact store"):
        registry.model_file(replace(first, run_id="0" * 32))


def test_delta_version_zero_is_on_record(registry, first):
    run = registry._client.get_run(first.run_id)
    assert run.data.tags["delta_version"] == "0"
    assert '"delta_table_version": 0' in run.inputs.dataset_inputs[0].dataset.source


def test_the_signature_is_that_of_the_model(registry, first):
    registered = mlflow.models.Model.load(
        registry._client.download_artifacts(first.run_id, "model")
    )
    predicted = load(registry.model_file(first), first.sha256).predict(EXAMPLE)
    [output] = registered.signature.outputs.inputs
    assert output.type.to_numpy() == predicted.dtype
    assert [column.name for column in registered.signature.inputs.inputs] == ["x"]


def test_a_trial_is_on_record_with_its_figures_or_with_why_it_failed(registry):
    good = CrossFit(CODES.to_numpy(), {"mean_squared_error": 2.5, "r2_score": 0.5})
    trials = [
        (Trial("everything", "decision_tree", {}), good),
        (Trial("everything", "ridge_regression", {}), Failed("scikit-learn: no")),
    ]
    parent = registry.log_training("mixed", TrainingData("/lake/silver/x", 0, 2), trials, SAMPLE)
    experiment = registry._client.get_experiment_by_name("glassware").experiment_id
    found = registry._client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    runs = {run.data.params["family"]: run for run in found}
    assert runs["decision_tree"].data.metrics == good.metrics
    assert (runs["decision_tree"].info.status, runs["ridge_regression"].info.status) == (
        "FINISHED",
        "FAILED",
    )
    assert "failure" not in runs["decision_tree"].data.tags
    assert runs["ridge_regression"].data.tags["failure"] == "scikit-learn: no"
