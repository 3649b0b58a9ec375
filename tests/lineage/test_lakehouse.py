"""Lineage of a whole pipeline: what it recorded, what the views say in two engines, what is found
when something was changed.
"""

import hashlib
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from jobs import lineage as job
from lakehouse.app.opening import open_lakehouse
from lakehouse.errors import ConfigurationError, StoreError
from lakehouse.explain.versions import PlainVersions
from lakehouse.lineage.reading import copy_metrics, records_of
from lakehouse.lineage.retraining import as_lines, retrained
from lakehouse.lineage.row_origin import graph_of_node
from lakehouse.lineage.story import story_of
from lakehouse.lineage.verification import DIFFERENT, Verification
from lakehouse.settings import EnvironmentSettings, load_environment_settings, load_model_settings
from lakehouse.storage.commits import followed, record_commits
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.tables import Table
from tests.support.engines import alike, duckdb_of, duckdb_rows, known_to_spark, spark_rows
from tests.support.old_lakehouses import unpack

MODEL = load_model_settings("conf/glassware.yaml")
ENVIRONMENT = load_environment_settings("conf/local.yaml")
PROMOTED = "model/2"


@pytest.fixture
def copy(three_nights: Lakehouse, tmp_path: Path) -> Path:
    """A lakehouse that a test may change, its landed files beside it."""
    root = tmp_path / "copy"
    shutil.copytree(three_nights.store.root, root)
    shutil.copytree(three_nights.landing, root / "landing")
    return root


def commits(lakehouse: Lakehouse) -> list[dict[str, Any]]:
    rows = lakehouse.store.rows(lakehouse.catalog.table_commit)
    kept = [{k: v for k, v in row.items() if k not in ("recorded_at", "files")} for row in rows]
    return sorted(kept, key=lambda row: (row["table_name"], row["version"]))


def path_of(root: Path, table: Table) -> str:
    return f"{root}/{table.layer}/{table.name}"


def asked(root: Path, node: str) -> set[str]:
    with records_of(str(root), MODEL) as records:
        return {each.id for each in graph_of_node(records, node).nodes}


def run(*words: str) -> int:
    return job.main(["--environment", "conf/local.yaml", *words])


# What is recorded


def test_every_commit_of_the_way_is_on_record_once_with_its_rows_and_digests(
    three_nights: Lakehouse,
):
    recorded = three_nights.store.rows(three_nights.catalog.table_commit)
    for table in followed(three_nights.catalog, three_nights.model):
        own = [row for row in recorded if row["table_name"] == table.full_name]
        delta = DeltaTable(three_nights.store.path(table))
        assert sorted(row["version"] for row in own) == list(range(delta.version() + 1))
        if table.layer != "gold":
            rows = delta.to_pyarrow_dataset().to_table(use_threads=False)
            assert sum(row["rows"] for row in own) == len(rows)
        for row in own:
            for name, digest in dict(row["files"]).items():
                content = Path(three_nights.store.path(table), name).read_bytes()
                assert digest == hashlib.sha256(content).hexdigest()


def test_to_record_again_adds_nothing(three_nights: Lakehouse):
    table = three_nights.catalog.table_commit
    before = three_nights.store.version(table)
    record_commits(three_nights)
    assert three_nights.store.version(table) == before


def test_what_a_killed_run_did_not_record_the_next_one_records(
    spark: SparkSession, three_nights: Lakehouse, copy: Path
):
    shutil.rmtree(copy / "gold" / "table_commit")
    environment = EnvironmentSettings(root=str(copy), landing=str(copy / "landing"))
    again = open_lakehouse(spark, three_nights.model, environment)
    record_commits(again)
    assert commits(again) == commits(three_nights)


def test_a_step_that_finds_another_one_recording_leaves_it_to_that_one(three_nights: Lakehouse):
    with three_nights.store.writing(three_nights.catalog.table_commit):
        record_commits(three_nights)  # raises nothing, waits for nothing


# What the views say


def test_both_engines_give_the_same_edges(spark: SparkSession, three_nights: Lakehouse):
    duckdb = duckdb_of(three_nights.store.root)
    with known_to_spark(spark, three_nights.store.root):
        sql = "SELECT * FROM gold.lineage ORDER BY from_id, to_id, relation"
        rows = spark_rows(spark, sql)
    assert len(rows) > 50
    assert alike(rows) == alike(duckdb_rows(duckdb, sql))


def test_every_landed_file_is_reachable_and_edges_are_few(three_nights: Lakehouse):
    with records_of(three_nights.store.root, MODEL) as records:
        copy_metrics(records, None)
        edges = records.rows("SELECT * FROM gold.lineage")
        files = records.rows("SELECT * FROM bronze.landed_file WHERE status = 'landed'")
    assert {f"file/{row['landed_file_id']}" for row in files} == {
        edge["from_id"] for edge in edges if edge["from_kind"] == "file"
    }
    made_of = Counter(edge["to_id"] for edge in edges if edge["to_kind"] != "commit")
    assert max(made_of.values()) <= 8
    rows = sum(row["lines"] for row in files)
    assert len(edges) < rows / 10


# What the job says


def test_the_story_goes_back_to_the_files(three_nights: Lakehouse, capsys: pytest.CaptureFixture):
    assert run("--root", three_nights.store.root, "--of", "promotion/2") == 0
    told = capsys.readouterr().out
    assert told.startswith("Verdict promotion/2019-07-")
    assert "because: " in told
    assert "judged model/2" in told
    assert "Landed file file/" in told


@pytest.mark.parametrize("form", ["mermaid", "dot", "svg", "openlineage"])
def test_the_same_graph_comes_in_other_forms(
    three_nights: Lakehouse, capsys: pytest.CaptureFixture, form: str
):
    assert run("--root", three_nights.store.root, "--of", PROMOTED, "--format", form) == 0
    told = capsys.readouterr().out
    assert "silver.sensor_reading" in told
    if form == "openlineage":
        assert all(json.loads(line)["producer"] for line in told.splitlines())


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ("model/60", "the nearest are model/"),
        ("promotion/60", "the nearest are promotion/"),
        ("window/2018-01-01", "the nearest are window/1 day/2019-07-01"),
        ("prediction/1", "keys go from 1"),
        ("silver.sensor_reading@999", "the nearest are silver.sensor_reading@"),
        ("nonsense", "write model/6"),
    ],
)
def test_an_unknown_id_is_one_sentence_with_the_nearest(
    three_nights: Lakehouse, node: str, words: str
):
    with pytest.raises(ConfigurationError, match=words):
        run("--root", three_nights.store.root, "--of", node)


def test_a_prediction_comes_from_the_very_lines_of_its_reading_and_label(three_nights: Lakehouse):
    root = three_nights.store.root
    with records_of(root, MODEL) as records:
        graph = graph_of_node(records, "prediction/101000")
        lines = story_of(graph)
    assert lines[0].startswith("Prediction prediction/101000")
    found = {}
    for edge in graph.into("prediction/101000"):
        if " line " in edge.relation:
            file = graph.node(edge.source).facts["source_file"]
            line = int(edge.relation.split(" line ")[1].split()[0])
            text = Path(three_nights.landing, file).read_text().splitlines()[line]
            found[file.split("/")[0]] = json.loads(text)["pid"]
    assert found == {"sensor_reading": 101000, "quality_check": 101000}


# A number, back to the lines and from there again


@pytest.mark.parametrize("seed", range(3))
def test_a_daily_accuracy_is_computed_again_from_the_landed_lines_alone(
    three_nights: Lakehouse, seed: int
):
    root, landing = three_nights.store.root, Path(three_nights.landing)
    metrics = DeltaTable(f"{root}/gold/profile_metrics").to_pyarrow_dataset()
    rows = metrics.to_table(use_threads=False).to_pylist()
    days = [
        row
        for row in rows
        if (row["granularity"], row["column_name"], row["model_version"], row["log_type"])
        == ("1 day", ":table", "*", "INPUT")
        and row["accuracy_score"] is not None
    ]
    day = random.Random(seed).choice(sorted(days, key=lambda row: row["window_date"]))
    with records_of(root, MODEL) as records:
        graph = graph_of_node(records, f"window/{day['window_date']}")
    files = {node.facts["source_file"] for node in graph.nodes if node.kind == "file"}
    versions = [node.id.split("/")[1] for node in graph.nodes if node.kind == "model"]
    assert len(versions) >= 1

    def lines(folder: str) -> pd.DataFrame:
        texts = [landing / file for file in sorted(files) if file.startswith(folder)]
        return pd.concat([pd.read_json(path, lines=True) for path in texts])

    readings, labels = lines("sensor_reading"), lines("quality_check")
    made = pd.to_datetime(readings["process_time"], utc=True)
    readings = readings[made.dt.date == day["window_date"]]
    assert len(readings) == day["count"]
    both = readings.merge(labels[["pid", "quality"]], on="pid")
    assert len(both) == day["n_labelled"]
    # A day may be of several versions: which one scored a piece is the ledger's to say.
    scored = DeltaTable(f"{root}/silver/predicted_quality").to_pandas()[["pid", "model_version"]]
    both = both.merge(scored, on="pid")
    assert set(both["model_version"]) <= set(versions)
    plain = PlainVersions(root, MODEL, ENVIRONMENT)
    right = 0
    for version, own in both.groupby("model_version"):
        pipeline = plain.version(str(version)).pipeline
        predicted = pipeline.predict(own[["temp", "pressure", "duration"]])
        right += int((predicted == own["quality"].to_numpy()).sum())
    assert right / len(both) == pytest.approx(day["accuracy_score"], abs=1e-12)


# What is found when something was changed


def verified(root: Path, capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = run("--root", str(root), "--verify", *words)
    return code, capsys.readouterr().out


def test_nothing_differs_where_nothing_was_changed(copy: Path, capsys: pytest.CaptureFixture):
    code, told = verified(copy, capsys)
    assert code == 0, told
    assert "everything that can be read again is as on record" in told
    for what in ("commits", "data files", "row counts", "model files", "predictions", "windows"):
        assert f"{what}: " in told
    assert "different" not in told
    code, told = verified(copy, capsys, "--of", PROMOTED)
    assert code == 0, told


def rewrite(table: Path, path: Path, column: str, change: Callable[[list], list]) -> None:
    """Change a column of a data file, and cover it up: the log has the file's new size."""
    rows = pq.ParquetFile(path).read()
    place, field = rows.column_names.index(column), rows.schema.field(column)
    values = pa.array(change(rows[column].to_pylist()), field.type)
    before = path.stat().st_size
    pq.write_table(rows.set_column(place, field, values), path)
    for commit in (table / "_delta_log").glob("*.json"):
        lines = commit.read_text().splitlines()
        told = [
            line.replace(f'"size":{before}', f'"size":{path.stat().st_size}')
            if path.name in line
            else line
            for line in lines
        ]
        commit.write_text("".join(f"{line}\n" for line in told))


def largest(folder: Path) -> Path:
    return max(folder.glob("*.parquet"), key=lambda file: file.stat().st_size)


def _tampered_readings(copy: Path) -> str:
    table = copy / "silver" / "sensor_reading"
    rewrite(table, largest(table), "temp", lambda values: [values[1], *values[1:]])
    return r"DIFFERENT silver\.sensor_reading#\d+: .*sha256"


def _tampered_predictions(copy: Path) -> str:
    table = copy / "silver" / "predicted_quality"
    rewrite(table, largest(table), "prediction", lambda values: [1 - value for value in values])
    return r"DIFFERENT silver\.predicted_quality#\d+: version \d predicts otherwise for"


def _altered_model(copy: Path) -> str:
    row = PlainVersions(str(copy), MODEL, ENVIRONMENT).promotion("2")
    path = copy / "mlflow" / "artifacts" / row["run_id"] / "artifacts" / "model" / "model.skops"
    path.write_bytes(path.read_bytes() + b" ")
    return r"DIFFERENT model/2: its file has sha256"


def _deleted_commit(copy: Path) -> str:
    log = copy / "silver" / "quality_check" / "_delta_log"
    (log / f"{1:020d}.json").unlink()
    return r"DIFFERENT silver\.quality_check#1: its commit is not in the log"


def _deleted_file(copy: Path) -> str:
    next((copy / "silver" / "sensor_reading").glob("*.parquet")).unlink()
    return r"DIFFERENT silver\.sensor_reading#\d+: .* is not there"


def _changed_landed_file(copy: Path) -> str:
    path = next((copy / "landing" / "sensor_reading").glob("*.jsonl"))
    path.write_text(path.read_text().replace("3", "4", 1))
    return r"DIFFERENT file/\d+: .*sha256"


@pytest.mark.parametrize(
    "change",
    [
        _tampered_readings,
        _tampered_predictions,
        _altered_model,
        _deleted_commit,
        _deleted_file,
        _changed_landed_file,
    ],
)
def test_what_was_changed_is_found_and_named(
    copy: Path, capsys: pytest.CaptureFixture, change: Callable[[Path], str]
):
    words = change(copy)
    code, told = verified(copy, capsys)
    assert code == 1
    assert any(pd.Series(told.splitlines()).str.contains(words)), told
    assert "it is NOT as on record" in told


def test_a_window_whose_figures_were_changed_is_found(copy: Path, capsys: pytest.CaptureFixture):
    table = copy / "gold" / "profile_metrics"
    day = "granularity=1%20day/window_date=2019-07-05"
    path = max((table / day).glob("*.parquet"), key=lambda file: file.stat().st_mtime)
    rewrite(table, path, "accuracy_score", lambda values: [v and v / 2 for v in values])
    code, told = verified(copy, capsys)
    assert code == 1
    assert "DIFFERENT window/1 day/2019-07-0" in told
    assert "accuracy" in told


# Trained again


def test_each_promoted_version_is_trained_again_to_the_same_file(three_nights: Lakehouse):
    versions = {
        row["to_version"]
        for row in three_nights.store.rows(three_nights.catalog.promotion)
        if row["action"] == "promote"
    }
    assert len(versions) >= 2
    for version in versions:
        result = retrained(three_nights.store.root, MODEL, ENVIRONMENT, version)
        assert result.rows_sha256 == result.recipe.rows_sha256
        assert result.sha256 == result.model_sha256
        assert (result.equal, result.difference) == (result.rows, 0.0)
        assert result.is_same


@pytest.mark.parametrize("name", ["depot", "shop"])
def test_text_features_three_classes_and_numbers_are_checked_and_trained_again_too(
    name: str, request: pytest.FixtureRequest
):
    found = request.getfixturevalue(name)
    lakehouse = found if name == "depot" else found.lakehouse
    environment = EnvironmentSettings(root=lakehouse.store.root, landing=lakehouse.landing)
    result = retrained(lakehouse.store.root, lakehouse.model, environment, "1")
    assert result.is_same, as_lines(result)
    with records_of(lakehouse.store.root, lakehouse.model) as records:
        checks = list(Verification(records, environment).checks())
    assert [check for check in checks if check.state == DIFFERENT] == []
    assert {check.what for check in checks} >= {"data files", "predictions", "windows"}


def test_the_job_trains_again_and_says_so(three_nights: Lakehouse, capsys: pytest.CaptureFixture):
    assert run("--root", three_nights.store.root, "--retrain", PROMOTED) == 0
    assert capsys.readouterr().out.endswith("model/2: its record makes the same model\n")


def test_rows_that_were_changed_do_not_make_the_same_model(
    copy: Path, capsys: pytest.CaptureFixture
):
    _tampered_readings(copy)
    assert run("--root", str(copy), "--retrain", PROMOTED) == 1
    assert "NOT the same rows" in capsys.readouterr().out


def test_versions_that_are_gone_are_named(copy: Path):
    for table in ("sensor_reading", "quality_check"):
        delta = DeltaTable(str(copy / "silver" / table))
        delta.optimize.compact()
        delta.vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(StoreError, match=r"silver\.sensor_reading@\d+ .*silver\.quality_check@\d+"):
        run("--root", str(copy), "--retrain", PROMOTED)


def test_an_older_release_s_version_is_a_clear_sentence(tmp_path: Path):
    root = unpack("0.2.0", tmp_path)
    with pytest.raises(ConfigurationError, match="kept no recipe of its trainings"):
        run("--root", str(root), "--retrain", "model/1")
    with records_of(str(root), MODEL) as records:
        assert story_of(records.ancestry("model/1"))[0].startswith("Model version model/1")


def test_a_folder_without_a_lakehouse_is_a_sentence(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="holds no lakehouse"):
        run("--root", str(tmp_path), "--of", "model/1")
    with pytest.raises(ConfigurationError, match="write a version"):
        run("--root", str(tmp_path), "--retrain", "six")
