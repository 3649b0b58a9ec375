"""A whole lakehouse is as it promises; whatever was changed in it afterwards is told."""

import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession

from jobs import verify as job
from lakehouse.app.opening import open_lakehouse
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import on_days
from lakehouse.tables import Table
from tests.support.truth import untrue


@pytest.fixture
def copy(spark: SparkSession, three_nights: Lakehouse, tmp_path: Path) -> Lakehouse:
    """A lakehouse that a test may change."""
    root = tmp_path / "copy"
    shutil.copytree(three_nights.store.root, root)
    shutil.copytree(three_nights.landing, root / "landing")
    model = load_model_settings("conf/glassware.yaml")
    return open_lakehouse(spark, model, EnvironmentSettings(root=str(root)))


def verified(lakehouse: Lakehouse, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit code and what is printed."""
    capsys.readouterr()
    code = job.main(["--environment", "conf/local.yaml", "--root", lakehouse.store.root])
    return code, capsys.readouterr().out.splitlines()


def first_row(lakehouse: Lakehouse, table: Table) -> dict[str, Any]:
    key = lakehouse.model.key
    rows = lakehouse.store.rows(table)
    return dict(min(rows, key=lambda row: row[key]))


def lose(lakehouse: Lakehouse, key: int) -> None:
    """Take a reading out of silver."""
    store, readings = lakehouse.store, lakehouse.catalog.readings
    kept = store.rows(readings, pc.field(lakehouse.model.key) != key)
    shutil.rmtree(store.path(readings))
    store.create_missing()
    store.append_rows(kept, readings)


def test_a_lakehouse_that_nobody_touched_holds_what_it_promises(
    copy: Lakehouse, capsys: pytest.CaptureFixture[str]
):
    code, lines = verified(copy, capsys)
    assert code == 0, lines
    assert re.match(r"sensor_reading: [\d,]+ lines = [\d,]+ silver", lines[0])
    assert not [line for line in lines if "0 the same" in line.split(": ")]
    kinds = {line.split(":")[0] for line in lines if line.endswith("the same")}
    assert kinds >= {
        *("lines in one place", "one row a key", "a reading for each prediction"),
        *("versions of batches", "promotions in order", "alias in MLflow"),
        *("metrics from scratch", "predictions", "windows", "model files"),
    }


def test_whatever_was_changed_is_told(copy: Lakehouse, capsys: pytest.CaptureFixture[str]):
    store, catalog = copy.store, copy.catalog
    again = first_row(copy, catalog.predictions)
    store.append_rows([{**again, "model_version": "2"}], catalog.predictions)
    line = first_row(copy, catalog.readings)
    elsewhere = {name: line[name] for name in ("source_file", "landed_file_id", "line")}
    store.append_rows([{"source": "sensor_reading", **elsewhere}], catalog.duplicate)
    lose(copy, line[copy.model.key] + 1)
    copy.registry.promote("1")
    day = max(store.days(catalog.drift_metrics))
    of_day = store.rows(catalog.profile_metrics, partitions=on_days([day]))
    counted = [{**row, "count": row["count"] + 1} for row in of_day[:1]]
    store.replace_partitions([*counted, *of_day[1:]], catalog.profile_metrics)
    drifts = store.rows(catalog.drift_metrics, partitions=on_days([day]))
    store.replace_partitions(drifts[1:], catalog.drift_metrics)

    code, lines = verified(copy, capsys)
    assert code == 1
    told = [line for line in lines if line.startswith("DIFFERENT")]
    for words in (
        "sensor_reading: 1 lines are nowhere, 1 in two places",
        "1 predictions are of no reading",
        f"silver.predicted_quality: 1 keys have several rows; the first is pid {again['pid']}",
        "its rows are of several versions",
        "champion: it names version 1, gold.promotion says",
        "silver gives another count",
        "silver gives a row that gold lacks",
    ):
        assert any(words in each for each in told), (words, told)
    assert lines[-1].endswith("it is NOT as on record")


def test_silver_is_what_the_generator_made_but_for_the_label_that_never_landed(
    three_nights: Lakehouse,
):
    found = untrue(three_nights.store, Path(three_nights.landing))
    n_labels = three_nights.store.count(three_nights.catalog.labels)
    assert found == [f"silver.quality_check: {n_labels} rows, {n_labels + 1} were made"]
