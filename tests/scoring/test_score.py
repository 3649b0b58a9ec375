"""Scoring: each reading once, by the version that its micro-batch was bound to, whatever was killed,
replayed or changed.
"""

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.errors import RegistryError
from lakehouse.models import features_of, load, problem_of
from lakehouse.scoring.scorer import score
from lakehouse.scoring.transforms import ScoringModel, run_once, with_prediction
from lakehouse.storage import queries
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.store import Row, Store
from lakehouse.versions.promotion import rollback
from tests.support.rows import Shop, repairs
from tests.support.small_model import at, small_lakehouse
from tests.support.written import (
    A_DAY,
    CHANGED,
    forget_newest_batch,
    forget_newest_commit,
    model_file,
    replace_model_file,
    rewrite_promotions,
    told_at,
    train,
    write_labels,
    write_readings,
)

READINGS = 6 * A_DAY
NEW = range(READINGS, READINGS + 3)


@dataclass(frozen=True)
class Stages:
    """A lakehouse at three moments; tests write to copies.

    Its readings of two days `waiting` for a first model; the readings of five days `scored` by
    version 1, and version 2 promoted; one day more, scored by version 2: the `newest`.
    """

    spark: SparkSession
    folder: Path

    def at(self, stage: str) -> Lakehouse:
        return small_lakehouse(self.spark, self.folder / stage)

    def copy(self, stage: str, folder: Path) -> Path:
        """The root of a copy that nobody has opened."""
        return Path(shutil.copytree(self.folder / stage, folder / "lake"))

    def opened(self, stage: str, folder: Path) -> Lakehouse:
        return small_lakehouse(self.spark, self.copy(stage, folder))


@pytest.fixture(scope="module")
def stages(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    folder = tmp_path_factory.mktemp("scoring")
    lakehouse = small_lakehouse(spark, folder / "newest")
    write_readings(lakehouse, range(2 * A_DAY))
    write_labels(lakehouse, range(A_DAY))
    score(lakehouse, AVAILABLE_NOW)
    shutil.copytree(folder / "newest", folder / "waiting")
    train(lakehouse, told_at(A_DAY - 1))
    score(lakehouse, AVAILABLE_NOW)
    write_readings(lakehouse, range(2 * A_DAY, 5 * A_DAY))
    score(lakehouse, AVAILABLE_NOW)
    write_labels(lakehouse, range(A_DAY, 4 * A_DAY))
    train(lakehouse, told_at(4 * A_DAY - 1), at(CHANGED))
    shutil.copytree(folder / "newest", folder / "scored")
    write_readings(lakehouse, range(5 * A_DAY, READINGS))
    score(lakehouse, AVAILABLE_NOW)
    return Stages(spark, folder)


@pytest.fixture(scope="module")
def newest(stages: Stages) -> Lakehouse:
    """To be read alone."""
    return stages.at("newest")


def predictions_of(lakehouse: Lakehouse) -> pd.DataFrame:
    found = lakehouse.store.arrow(lakehouse.catalog.predictions).to_pandas()
    return found.sort_values(lakehouse.model.key, ignore_index=True)


def versions_of(lakehouse: Lakehouse) -> pd.Series:
    """The version that predicted each row, by its key."""
    return predictions_of(lakehouse).set_index(lakehouse.model.key)["model_version"]


def assert_each_scored_once(lakehouse: Lakehouse) -> None:
    key, store = lakehouse.model.key, lakehouse.store
    keys = store.arrow(lakehouse.catalog.readings, columns=[key])[key].to_pylist()
    assert sorted(predictions_of(lakehouse)[key]) == sorted(keys)


def test_predictions_are_scikit_learns_on_the_same_rows(newest: Lakehouse) -> None:
    assert_predictions_are_scikit_learns(newest)


def test_predictions_of_three_classes_are_scikit_learns_on_the_same_rows(depot: Lakehouse) -> None:
    assert_predictions_are_scikit_learns(depot)


def assert_predictions_are_scikit_learns(lakehouse: Lakehouse) -> None:
    model, registry = lakehouse.model, lakehouse.registry
    found = predictions_of(lakehouse)
    assert not found.empty
    for number, rows in found.groupby("model_version"):
        version = registry.version(number)
        pipeline = load(registry.model_file(version), version.sha256)
        features = rows[list(model.predictions.features)].astype(
            dict.fromkeys(_numeric(model), float)
        )
        expected = pipeline.predict_proba(
            features.where(features.notna(), None).astype(features.dtypes)
        )
        recorded = np.array(
            [[dict(row)[str(each)] for each in model.classes] for row in rows["probability"]]
        )
        np.testing.assert_array_equal(recorded, expected)
        assert rows["prediction"].tolist() == [
            model.classes[code] for code in pipeline.predict(features)
        ]
        positive = model.classes.index(model.positive)
        expected_score = expected[:, positive] if len(model.classes) == 2 else expected.max(axis=1)
        np.testing.assert_array_equal(rows["score"], expected_score)


def test_a_predicted_number_is_scikit_learns_on_the_same_rows(shop: Shop) -> None:
    lakehouse = shop.lakehouse
    found = predictions_of(lakehouse)
    assert len(found) == len(repairs()[0])
    assert set(found["model_version"]) == {"1"}
    version = lakehouse.registry.version("1")
    pipeline = load(lakehouse.registry.model_file(version), version.sha256)
    features = found[list(lakehouse.model.predictions.features)]
    expected = pipeline.predict(
        features.where(features.notna(), None).astype({"panels": float, "years": float})
    )
    np.testing.assert_array_equal(found["prediction"], expected)
    assert found["prediction"].nunique() > 100
    assert not {"score", "probability", "photographed_at"} & set(found.columns)
    assert_each_scored_once(lakehouse)


def _numeric(model: Any) -> list[str]:
    columns = model.readings.columns
    return [
        name
        for name in model.predictions.features
        if columns[name].type in ("double", "integer", "long")
    ]


def test_rows_wait_for_a_first_model_and_are_scored_by_it_once(stages: Stages) -> None:
    waiting, scored = stages.at("waiting"), stages.at("scored")
    assert predictions_of(waiting).empty
    assert waiting.store.count(waiting.catalog.readings) == 2 * A_DAY
    assert waiting.store.rows(waiting.catalog.scoring_ledger) == []
    assert_each_scored_once(scored)
    assert set(versions_of(scored)) == {"1"}


def test_a_promotion_is_picked_up_by_the_next_micro_batch(newest: Lakehouse) -> None:
    expected = ["1"] * 5 * A_DAY + ["2"] * (READINGS - 5 * A_DAY)
    assert versions_of(newest).tolist() == expected


def test_the_ledger_agrees_with_the_versions_on_rows(newest: Lakehouse) -> None:
    ledger = {
        (row["query_id"], row["batch_id"]): row["model_version"]
        for row in newest.store.rows(newest.catalog.scoring_ledger)
    }
    batches = predictions_of(newest).groupby(["query_id", "batch_id"])["model_version"].unique()
    assert {batch: list(versions) for batch, versions in batches.items()} == {
        batch: [version] for batch, version in ledger.items()
    }


def test_a_replayed_batch_and_a_lost_checkpoint_score_nothing_twice(
    stages: Stages, tmp_path: Path
) -> None:
    root = stages.copy("newest", tmp_path)
    forget_newest_batch(root, "score")
    lakehouse = small_lakehouse(stages.spark, root)
    catalog, store = lakehouse.catalog, lakehouse.store
    before = store.version(catalog.predictions)
    score(lakehouse, AVAILABLE_NOW)
    assert store.version(catalog.predictions) == before
    assert_each_scored_once(lakehouse)
    shutil.rmtree(store.checkpoint("score"))
    score(lakehouse, AVAILABLE_NOW)
    assert_each_scored_once(lakehouse)
    assert len({row["query_id"] for row in store.rows(catalog.scoring_ledger)}) == 2


def costs(lakehouse: Lakehouse) -> list[Row]:
    return lakehouse.store.rows(lakehouse.catalog.scoring_cost)


def test_what_each_batch_cost_is_on_record_with_its_rows_and_its_version(newest: Lakehouse) -> None:
    batches = predictions_of(newest).groupby(["query_id", "batch_id", "model_version"]).size()
    recorded = {
        (row["query_id"], row["batch_id"], row["model_version"]): row["rows"]
        for row in costs(newest)
    }
    assert recorded == batches.to_dict()
    assert len(recorded) == len(costs(newest)) == 3
    assert all(0.01 < row["seconds"] < 600 for row in costs(newest))


def test_a_batch_that_was_cut_off_before_its_cost_was_recorded_records_it_once_in_its_replay(
    stages: Stages, tmp_path: Path
) -> None:
    root, catalog = stages.copy("newest", tmp_path), stages.at("newest").catalog
    forget_newest_commit(root, catalog.scoring_cost)
    lakehouse = small_lakehouse(stages.spark, root)
    assert len(costs(lakehouse)) == 2
    for _ in range(2):  # the second time after a crash between the cost and the commit of the batch
        forget_newest_batch(root, "score")
        score(lakehouse, AVAILABLE_NOW)
        assert [row["rows"] for row in costs(lakehouse) if row["batch_id"] == 2] == [A_DAY]
    assert_each_scored_once(lakehouse)


def test_a_replayed_batch_is_scored_by_the_ledgers_version_though_the_alias_has_moved(
    stages: Stages, tmp_path: Path
) -> None:
    """A batch is cut off between its ledger row and its rows; the alias moves back to version 1;
    the batch is replayed, and another one comes.
    """
    root, catalog = stages.copy("newest", tmp_path), stages.at("newest").catalog
    for table in (catalog.predictions, catalog.scoring_cost, catalog.table_commit):
        forget_newest_commit(root, table)
    forget_newest_batch(root, "score")
    lakehouse = small_lakehouse(stages.spark, root)
    assert len(predictions_of(lakehouse)) == 5 * A_DAY
    rollback(lakehouse, "ada", "v2 grades badly")
    assert lakehouse.registry.champion() == "1"
    write_readings(lakehouse, NEW)
    score(lakehouse, AVAILABLE_NOW)
    versions = versions_of(lakehouse)
    assert set(versions[range(5 * A_DAY, READINGS)]) == {"2"}
    assert set(versions[NEW]) == {"1"}
    assert_each_scored_once(lakehouse)
    ledger = lakehouse.store.rows(lakehouse.catalog.scoring_ledger)
    assert len({(row["query_id"], row["batch_id"]) for row in ledger}) == len(ledger)


def assert_nothing_is_scored(lakehouse: Lakehouse, says: str) -> None:
    """New readings come, and scoring is refused in these words."""
    tables = (lakehouse.catalog.predictions, lakehouse.catalog.scoring_ledger)
    write_readings(lakehouse, NEW)
    before = lakehouse.store.versions(*tables)
    with pytest.raises(RegistryError, match=says):
        score(lakehouse, AVAILABLE_NOW)
    assert lakehouse.store.versions(*tables) == before


@pytest.mark.parametrize("change", ["digest", "type"])
def test_a_changed_or_foreign_model_file_is_refused_and_nothing_is_scored(
    stages: Stages, tmp_path: Path, change: str
) -> None:
    lakehouse = stages.opened("newest", tmp_path)
    if change == "digest":
        file = model_file(lakehouse, "2")
        file.write_bytes(file.read_bytes() + b" ")
    else:  # its digest is the recorded one
        lakehouse = replace_model_file(lakehouse, "2", skops.io.dumps(Store))
    assert_nothing_is_scored(lakehouse, "is not loaded")
    rollback(lakehouse, "ada", "its file was changed")
    score(lakehouse, AVAILABLE_NOW)
    # The refused batch is not bound to the version that was refused.
    assert set(versions_of(lakehouse)[NEW]) == {"1"}


def test_a_champion_that_is_not_what_its_record_says_is_refused_and_nothing_is_scored(
    stages: Stages, tmp_path: Path
) -> None:
    def of_x_alone(row: Row) -> Row:
        meaning = json.loads(row["meaning"])
        fewer = {"numeric": ["x"], "paths": {"x": ["x"]}}
        return {**row, "meaning": json.dumps(meaning | fewer)}

    lakehouse = rewrite_promotions(stages.opened("newest", tmp_path), of_x_alone)
    says = "small version 2 cannot score: it reads x, z, not x; roll back, or put"
    assert_nothing_is_scored(lakehouse, re.escape(says))


def test_a_worker_loads_a_version_once(spark: SparkSession, newest: Lakehouse) -> None:
    version = newest.registry.version("1")
    content = spark.sparkContext.broadcast(newest.registry.model_file(version))
    model = ScoringModel(
        "1", version.sha256, content, features_of(newest.model), problem_of(newest.model)
    )
    readings = newest.store.read(newest.catalog.readings).repartition(6)
    scored, seen = with_prediction(readings, model, "string"), []
    for _ in range(2):
        assert scored.agg(F.sum("score")).first()[0] > 0
        told = F.pandas_udf(_loads, "worker long, loads long, models string")("id")
        counted = spark.range(0, 8, 1, 8).select(told.alias("cache")).collect()
        seen.append({row["cache"]["worker"]: row["cache"] for row in counted})
    having = [worker for worker, cache in seen[0].items() if version.sha256 in cache["models"]]
    assert having
    for worker in set(having) & set(seen[1]):
        assert seen[1][worker]["loads"] == seen[0][worker]["loads"]


def test_a_model_runs_once_for_a_row_where_its_answer_is_filtered(spark: SparkSession) -> None:
    asked = spark.sparkContext.accumulator(0)

    def predict(values: pa.Array) -> pa.Array:
        asked.add(len(values))
        return pa.StructArray.from_arrays([values, values], ["prediction", "score"])

    answer = run_once(predict, "prediction long, score long")("id")
    answered = spark.range(10).withColumn("_found", answer)
    predicted = answered.select("_found.prediction", "_found.score")
    assert len(predicted.where(F.col("prediction").isNotNull()).collect()) == 10
    assert asked.value == 10


def test_a_filter_on_predictions_leaves_one_call_of_the_model(
    spark: SparkSession, newest: Lakehouse
) -> None:
    version = newest.registry.version("1")
    content = spark.sparkContext.broadcast(newest.registry.model_file(version))
    model = ScoringModel(
        "1", version.sha256, content, features_of(newest.model), problem_of(newest.model)
    )
    scored = with_prediction(newest.store.read(newest.catalog.readings), model, "string")
    known = scored.where(F.col("prediction").isNotNull())
    plan = known._jdf.queryExecution().executedPlan().toString()
    assert plan.count("ArrowEvalPython") == 1


def _loads(ids: pd.Series) -> pd.DataFrame:
    from lakehouse.models import WORKER_CACHE

    told = {"worker": os.getpid(), "loads": WORKER_CACHE.loads}
    return pd.DataFrame([told | {"models": " ".join(WORKER_CACHE.models)}] * len(ids))


def test_a_batch_without_its_query_id_is_not_written(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakehouse = stages.at("waiting")
    frame = lakehouse.store.read_stream(lakehouse.catalog.readings)
    monkeypatch.setattr("pyspark.SparkContext.getLocalProperty", lambda *_: None)
    query = queries.run(lakehouse.store, "nameless", frame, lambda *_: None, AVAILABLE_NOW)
    with pytest.raises(Exception, match="did not tell the query's id"):
        queries.run_all([query], AVAILABLE_NOW)
