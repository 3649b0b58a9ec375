import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from lakehouse.errors import LakehouseError, RegistryError
from lakehouse.ingest.pipeline import ingest
from lakehouse.models import Features, features_of, load, problem_of
from lakehouse.scoring.scorer import score
from lakehouse.scoring.transforms import ScoringModel, with_prediction
from lakehouse.storage import queries
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.store import Store, Transaction
from lakehouse.tables import Catalog
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.promotion import rollback
from tests.support.rows import glassware_plant, parcel_depot, repair_shop, repairs


def predictions_of(lakehouse) -> pd.DataFrame:
    return lakehouse.store.read(lakehouse.catalog.predictions).toPandas()


def unscored(lakehouse) -> tuple[int, int]:
    """Predictions, and pieces in silver."""
    catalog, store = lakehouse.catalog, lakehouse.store
    return store.read(catalog.predictions).count(), store.read(catalog.readings).count()


def assert_each_scored_once(lakehouse) -> None:
    key = lakehouse.model.key
    keys = lakehouse.store.read(lakehouse.catalog.readings).select(key).toPandas()[key]
    predicted = predictions_of(lakehouse)[key]
    assert sorted(predicted) == sorted(keys)


@pytest.mark.parametrize("made", [lambda spark: glassware_plant(spark).at("newest"), parcel_depot])
def test_predictions_are_scikit_learns_on_the_same_rows(spark, made):
    lakehouse = made(spark)
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
            [[row[str(each)] for each in model.classes] for row in rows["probability"]]
        )
        np.testing.assert_array_equal(recorded, expected)
        assert rows["prediction"].tolist() == [
            model.classes[code] for code in pipeline.predict(features)
        ]
        positive = model.classes.index(model.positive)
        score = expected[:, positive] if len(model.classes) == 2 else expected.max(axis=1)
        np.testing.assert_array_equal(rows["score"], score)


def test_a_predicted_number_is_scikit_learns_on_the_same_rows(spark):
    shop = repair_shop(spark).lakehouse
    found = predictions_of(shop)
    assert len(found) == len(repairs()[0])
    assert set(found["model_version"]) == {"1"}
    version = shop.registry.version("1")
    pipeline = load(shop.registry.model_file(version), version.sha256)
    features = found[list(shop.model.predictions.features)]
    expected = pipeline.predict(
        features.where(features.notna(), None).astype({"panels": float, "years": float})
    )
    np.testing.assert_array_equal(found["prediction"], expected)
    assert found["prediction"].nunique() > 100
    assert not {"score", "probability", "photographed_at"} & set(found.columns)
    assert_each_scored_once(shop)


def _numeric(model) -> list[str]:
    columns = model.readings.columns
    return [
        name
        for name in model.predictions.features
        if columns[name].type in ("double", "integer", "long")
    ]


def test_rows_wait_for_a_first_model_and_are_scored_by_it_once(plant):
    waiting, first = plant.at("waiting"), plant.at("first")
    scored, pieces = unscored(waiting)
    assert scored == 0
    assert pieces > 2000
    assert waiting.store.rows(waiting.catalog.scoring_ledger) == []
    assert unscored(first) == (pieces, pieces)
    assert set(predictions_of(first)["model_version"]) == {"1"}


def test_a_promotion_is_picked_up_by_the_next_micro_batch(plant):
    before, after = (predictions_of(plant.at(night)) for night in ("drifted", "newest"))
    assert set(before["model_version"]) == {"1"}
    new = after[~after["pid"].isin(before["pid"])]
    assert len(new) == 3 * 288
    assert set(new["model_version"]) == {"2"}


def test_the_ledger_agrees_with_the_versions_on_rows(plant):
    lakehouse = plant.at("newest")
    ledger = {
        (row["query_id"], row["batch_id"]): row["model_version"]
        for row in lakehouse.store.rows(lakehouse.catalog.scoring_ledger)
    }
    batches = predictions_of(lakehouse).groupby(["query_id", "batch_id"])["model_version"].unique()
    assert {batch: list(versions) for batch, versions in batches.items()} == {
        batch: [version] for batch, version in ledger.items()
    }


def test_a_replayed_batch_and_a_lost_checkpoint_score_nothing_twice(plant, tmp_path):
    lakehouse = plant.copy("newest", tmp_path)
    catalog, store = lakehouse.catalog, lakehouse.store
    before = store.version(catalog.predictions)
    checkpoint = Path(store.checkpoint("score"))
    commits = sorted((checkpoint / "commits").glob("[0-9]*"), key=lambda path: int(path.name))
    commits[-1].unlink()
    for crc in (checkpoint / "commits").glob(".*.crc"):
        crc.unlink()
    score(lakehouse, AVAILABLE_NOW)
    assert store.version(catalog.predictions) == before
    assert_each_scored_once(lakehouse)
    shutil.rmtree(checkpoint)
    score(lakehouse, AVAILABLE_NOW)
    assert_each_scored_once(lakehouse)
    assert len({row["query_id"] for row in store.rows(catalog.scoring_ledger)}) == 2


def costs(lakehouse) -> list:
    return lakehouse.store.rows(lakehouse.catalog.scoring_cost)


def test_what_each_batch_cost_is_on_record_with_its_rows_and_its_version(plant):
    lakehouse = plant.at("newest")
    batches = predictions_of(lakehouse).groupby(["query_id", "batch_id", "model_version"]).size()
    recorded = {
        (row["query_id"], row["batch_id"], row["model_version"]): row["rows"]
        for row in costs(lakehouse)
    }
    assert recorded == batches.to_dict()
    assert len(recorded) == len(costs(lakehouse)) == 3
    assert all(0.01 < row["seconds"] < 600 for row in costs(lakehouse))


def test_a_batch_that_was_cut_off_before_its_cost_was_recorded_records_it_once_in_its_replay(
    plant, tmp_path
):
    lakehouse = plant.copy("drifted", tmp_path)
    catalog = lakehouse.catalog
    before = len(costs(lakehouse))
    add_pieces(lakehouse, 3)
    real_append = Store.append_rows

    def killed(store, rows, table, transaction=None):
        if table == catalog.scoring_cost:
            raise LakehouseError("killed")
        real_append(store, rows, table, transaction)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Store, "append_rows", killed)
        with pytest.raises(LakehouseError, match="killed"):
            score(lakehouse, AVAILABLE_NOW)
    assert len(costs(lakehouse)) == before
    for _ in range(2):  # the second time after a crash between the cost and the commit of the batch
        forget_commit(lakehouse, before)
        score(lakehouse, AVAILABLE_NOW)
        assert [row["rows"] for row in costs(lakehouse) if row["batch_id"] == before] == [3]
    assert_each_scored_once(lakehouse)


def forget_commit(lakehouse, number: int) -> None:
    """Spark's own mark that a batch is done."""
    folder = Path(lakehouse.store.checkpoint("score")) / "commits"
    for path in (folder / str(number), *folder.glob(".*.crc")):
        path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def interrupted(plant, tmp_path_factory):
    """A batch is cut off between its ledger row and its rows; the alias moves back to v1; the batch
    is replayed.
    """
    lakehouse = plant.copy("drifted", tmp_path_factory.mktemp("interrupted"))
    ingest(lakehouse, AVAILABLE_NOW)
    real_append = Store.append

    def killed(store, rows, table, transaction):
        if table == lakehouse.catalog.predictions:
            raise LakehouseError("killed")
        real_append(store, rows, table, transaction)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Store, "append", killed)
        with pytest.raises(LakehouseError, match="killed"):
            score(lakehouse, AVAILABLE_NOW)
    rollback(lakehouse, "ada", "v2 grades badly")
    score(lakehouse, AVAILABLE_NOW)
    return lakehouse


def test_a_replayed_batch_is_scored_by_the_ledgers_version_though_the_alias_has_moved(
    plant, interrupted
):
    assert interrupted.registry.champion() == "1"
    new = ~predictions_of(interrupted)["pid"].isin(predictions_of(plant.at("drifted"))["pid"])
    assert set(predictions_of(interrupted)[new]["model_version"]) == {"2"}
    assert_each_scored_once(interrupted)
    ledger = interrupted.store.rows(interrupted.catalog.scoring_ledger)
    assert len({(row["query_id"], row["batch_id"]) for row in ledger}) == len(ledger)


def test_the_next_batch_after_a_rollback_is_scored_by_the_version_before(interrupted):
    add_pieces(interrupted, 3)
    score(interrupted, AVAILABLE_NOW)
    new = predictions_of(interrupted).set_index("pid").loc[[900_000, 900_001, 900_002]]
    assert set(new["model_version"]) == {"1"}


def add_pieces(lakehouse, n: int) -> None:
    """More readings in silver, as the newest piece but with numbers from 900000."""
    catalog: Catalog = lakehouse.catalog
    newest = lakehouse.store.read(catalog.readings).orderBy(F.desc("pid")).limit(1).drop("pid")
    more = newest.crossJoin(
        lakehouse.spark.range(900_000, 900_000 + n).withColumnRenamed("id", "pid")
    )
    lakehouse.store.append(more, catalog.readings, Transaction("a test's own", 1))


@pytest.mark.parametrize("change", ["digest", "type"])
def test_a_changed_or_foreign_model_file_is_refused_and_nothing_is_scored(
    plant, tmp_path, monkeypatch, change
):
    import skops.io

    lakehouse = plant.copy("newest", tmp_path)
    add_pieces(lakehouse, 2)
    before = lakehouse.store.versions(
        lakehouse.catalog.predictions, lakehouse.catalog.scoring_ledger
    )
    registry = lakehouse.registry
    run_id = registry.version(registry.champion()).run_id
    file = plant.folder / "artifacts" / run_id / "artifacts" / "model" / "model.skops"
    good = file.read_bytes()
    bad = good + b" " if change == "digest" else skops.io.dumps(Store)
    if change == "type":
        import hashlib

        monkeypatch.setattr(PromotionLedger, "sha256", lambda *_: hashlib.sha256(bad).hexdigest())
    try:
        file.write_bytes(bad)
        with pytest.raises(RegistryError, match="is not loaded"):
            score(lakehouse, AVAILABLE_NOW)
    finally:
        file.write_bytes(good)
    assert (
        lakehouse.store.versions(lakehouse.catalog.predictions, lakehouse.catalog.scoring_ledger)
        == before
    )
    monkeypatch.undo()
    rollback(lakehouse, "ada", "its file was changed")
    score(
        lakehouse, AVAILABLE_NOW
    )  # the refused batch is not bound to the version that was refused
    assert predictions_of(lakehouse).set_index("pid").loc[900_000, "model_version"] == "2"


def test_a_champion_that_is_not_what_its_record_says_is_refused_and_nothing_is_scored(
    plant, tmp_path, monkeypatch
):
    lakehouse = plant.copy("newest", tmp_path)
    add_pieces(lakehouse, 2)
    before = lakehouse.store.versions(
        lakehouse.catalog.predictions, lakehouse.catalog.scoring_ledger
    )
    recorded = PromotionLedger(lakehouse).meaning("4")
    fewer = replace(recorded, features=Features(("temp", "pressure")))
    monkeypatch.setattr(PromotionLedger, "meaning", lambda *_: fewer)
    says = (
        "glassware version 4 cannot score: it reads temp, pressure, duration, not temp, pressure; "
        "roll back, or put"
    )
    with pytest.raises(RegistryError, match=says):
        score(lakehouse, AVAILABLE_NOW)
    assert (
        lakehouse.store.versions(lakehouse.catalog.predictions, lakehouse.catalog.scoring_ledger)
        == before
    )


def test_a_worker_loads_a_version_once(spark, plant):
    lakehouse = plant.at("newest")
    version = lakehouse.registry.version("1")
    content = spark.sparkContext.broadcast(lakehouse.registry.model_file(version))
    model = ScoringModel(
        "1", version.sha256, content, features_of(plant.model), problem_of(plant.model)
    )
    readings = lakehouse.store.read(lakehouse.catalog.readings).repartition(6)
    scored = with_prediction(readings, model, "int")
    for _ in range(2):
        assert scored.agg(F.sum("score")).first()[0] > 0

    counted = spark.range(0, 8, 1, 8).select(
        F.pandas_udf(_loads, "loads long, models long")("id").alias("cache")
    )
    caches = {tuple(row["cache"]) for row in counted.collect()}
    assert any(loads for loads, _ in caches)
    assert all(loads == models for loads, models in caches)


def _loads(ids: pd.Series) -> pd.DataFrame:
    from lakehouse.models import WORKER_CACHE

    return pd.DataFrame(
        {"loads": len(ids) * [WORKER_CACHE.loads], "models": len(ids) * [len(WORKER_CACHE.models)]}
    )


def test_a_batch_without_its_query_id_is_not_written(plant, tmp_path, monkeypatch):
    lakehouse = plant.copy("newest", tmp_path)
    frame = lakehouse.store.read_stream(lakehouse.catalog.readings)
    monkeypatch.setattr("pyspark.SparkContext.getLocalProperty", lambda *_: None)
    query = queries.run(lakehouse.store, "nameless", frame, lambda *_: None, AVAILABLE_NOW)
    with pytest.raises(Exception, match="did not tell the query's id"):
        queries.run_all([query], AVAILABLE_NOW)
