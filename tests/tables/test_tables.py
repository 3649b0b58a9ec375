"""Every declared table is whole: its names, columns, keys; and what lies on disk is what is
declared.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from lakehouse.errors import ConfigurationError
from lakehouse.settings import ModelSettings, load_model_settings
from lakehouse.sql.views import views_of
from lakehouse.storage.store import Store
from lakehouse.tables import Catalog, Table, catalog_of
from tests.support.rows import write_repair_settings

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
GLASSWARE = "conf/glassware.yaml"
CATALOG = catalog_of(load_model_settings(GLASSWARE))

each_table = pytest.mark.parametrize("table", CATALOG.tables, ids=lambda table: table.full_name)


@each_table
def test_a_declaration_is_whole(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert table.layer in ("bronze", "silver", "gold")
    assert [name for name in (table.name, *names) if not NAME.fullmatch(name)] == []
    assert [column.name for column in table.columns if not column.comment.strip()] == []
    assert len(set(names)) == len(names)
    assert table.grain
    assert table.keys
    assert set(table.keys) | set(table.partition_by) <= set(names)


def test_no_two_tables_share_a_name() -> None:
    assert len({table.full_name for table in CATALOG.tables}) == len(CATALOG.tables) == 27


def test_a_table_that_is_never_changed_is_not_one_whose_windows_are_computed_again() -> None:
    changing = {table.full_name for table in CATALOG.tables if not table.append_only}
    assert changing == {
        "gold.window_facts",
        "gold.profile_metrics",
        "gold.drift_metrics",
        "gold.counterfactual",
    }


@pytest.fixture(scope="module")
def store(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(spark, str(tmp_path_factory.mktemp("tables")), CATALOG)
    store.create_missing()
    return store


@each_table
def test_a_table_is_created_as_declared_and_any_reader_can_read_it(
    table: Table, store: Store
) -> None:
    delta = DeltaTable(store.path(table))
    found = StructType.fromJson(json.loads(delta.schema().to_json()))
    assert [
        (field.name, field.dataType.simpleString(), field.metadata["comment"]) for field in found
    ] == [
        (field.name, field.dataType.simpleString(), field.metadata["comment"])
        for field in table.schema
    ]
    metadata = delta.metadata()
    assert (metadata.name, metadata.description) == (table.name, table.grain)
    assert metadata.partition_columns == list(table.partition_by)
    assert metadata.configuration["delta.appendOnly"] == ("true" if table.append_only else "false")
    assert metadata.configuration["delta.enableDeletionVectors"] == "false"
    protocol = delta.protocol()
    assert protocol.min_reader_version == 1  # no feature that a reader must know
    assert protocol.min_writer_version <= 7
    assert not protocol.reader_features
    assert "deletionVectors" not in (protocol.writer_features or [])


def test_creating_again_changes_nothing(store: Store) -> None:
    before = store.versions(*CATALOG.tables)
    store.create_missing()
    assert store.versions(*CATALOG.tables) == before


def model_with(
    source: str, column: str, kind: dict[str, Any] | None = None, **names: str
) -> ModelSettings:
    content = yaml.safe_load(Path(GLASSWARE).read_text())
    if column:
        content[source]["columns"][column] = kind or {"type": "string"}
    content[source] |= names
    return ModelSettings.model_validate(content)


def with_feature(name: str) -> ModelSettings:
    content = yaml.safe_load(Path(GLASSWARE).read_text())
    content["readings"]["columns"][name] = {"type": "double"}
    content["predictions"]["features"].append(name)
    return ModelSettings.model_validate(content)


@pytest.mark.parametrize("source", ["readings", "labels"])
@pytest.mark.parametrize(
    "column",
    # the silver table has the first two; the others are with the line on its way through ingest
    [
        "line",
        "source_file",
        "raw",
        "landed_at",
        "ingest_batch",
        "ingested_at",
        "reasons",
        "disposition",
        "rank",
    ],
)
def test_a_column_of_the_model_cannot_be_one_of_the_engine(source: str, column: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"{column}: .* has that column already; give the model's another"
    ):
        catalog_of(model_with(source, column))


@pytest.mark.parametrize(
    "name", ["prediction", "score", "probability", "model_version", "batch_id"]
)
def test_a_feature_cannot_be_a_column_of_the_predictions(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"{name}: silver\.predicted_quality has that column already"
    ):
        catalog_of(with_feature(name))


@pytest.mark.parametrize(
    ("source", "name"),
    [("readings", "quarantine"), ("labels", "duplicate"), ("predictions", "scoring_ledger")],
)
def test_a_table_of_the_model_cannot_be_one_of_the_engine(source: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"silver\.{name}: is a table of the engine"):
        catalog_of(model_with(source, "", table=name))


def test_the_predictions_of_a_regression_are_numbers_without_probabilities(tmp_path: Path) -> None:
    predictions = catalog_of(load_model_settings(write_repair_settings(tmp_path))).predictions
    assert [(column.name, column.ddl) for column in predictions.columns] == [
        ("claim_no", "bigint"),
        ("reported_at", "timestamp"),
        ("workshop", "string"),
        ("panels", "int"),
        ("years", "double"),
        ("towed", "boolean"),
        ("prediction", "double"),
        ("model_version", "string"),
        ("query_id", "string"),
        ("batch_id", "bigint"),
    ]
    outcomes = [(column.name, column.ddl) for column in CATALOG.predictions.columns][5:8]
    assert outcomes == [
        ("prediction", "int"),
        ("score", "double"),
        ("probability", "map<string,double>"),
    ]


def test_the_models_own_columns_become_columns_of_silver(spark: SparkSession) -> None:
    catalog: Catalog = catalog_of(
        model_with("readings", "furnace", {"type": "integer", "comment": "Which one"})
    )
    assert catalog.readings.schema["furnace"].dataType.simpleString() == "int"
    assert catalog.readings.schema["furnace"].metadata == {"comment": "Which one"}
    assert "furnace" not in catalog.labels.schema.names
    assert (
        "furnace" not in catalog.predictions.schema.names
    )  # no feature: scoring does not carry it


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"event_time": "happened", "labels.time": "happened"},
            "happened: two of the readings, the label, its time",
        ),
        (
            {"metrics.model_id_column": "day"},
            "metrics.model_id_column: day is a column of gold.daily_quality already",
        ),
    ],
)
def test_a_name_that_would_mean_two_things_is_refused(changes: dict[str, str], says: str) -> None:
    text = Path(GLASSWARE).read_text()
    if "labels.time" in changes:
        text = text.replace("process_time", "happened").replace("qualitycheck_time", "happened")
    settings = yaml.safe_load(text)
    settings["metrics"]["model_id_column"] = changes.get("metrics.model_id_column", "model_version")
    model = ModelSettings.model_validate(settings)
    with pytest.raises(ConfigurationError, match=says):
        views_of(model, catalog_of(model))
