"""Maintenance of a lakehouse that the pipeline has filled: nothing on record is lost by it."""

import shutil
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from jobs import lineage as lineage_job
from jobs import maintain as job
from lakehouse.errors import ConfigurationError
from lakehouse.lineage.reading import records_of
from lakehouse.lineage.retraining import retrained
from lakehouse.lineage.verification import DIFFERENT, GONE, Verification
from lakehouse.maintenance.reading import Reading
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.delta.log_files import Log
from lakehouse.storage.lakehouse import Lakehouse
from tests.support.aged import aged

MODEL = load_model_settings("conf/glassware.yaml")


@pytest.fixture
def old(three_nights: Lakehouse, tmp_path: Path) -> Path:
    """A copy, two months later; each table has a checkpoint."""
    root = tmp_path / "old"
    shutil.copytree(three_nights.store.root, root)
    shutil.copytree(three_nights.landing, root / "landing", dirs_exist_ok=True)
    for table in three_nights.catalog.tables:
        DeltaTable(f"{root}/{table.layer}/{table.name}").create_checkpoint()
    aged(root)
    return root


def test_what_is_on_record_still_holds_and_a_version_is_trained_again(
    spark: SparkSession, three_nights: Lakehouse, old: Path
):
    environment = EnvironmentSettings(root=str(old), landing=str(old / "landing"))
    who = {need.who for need in Reading(str(old), MODEL, environment).needs()}
    assert {"model/1", "model/2"} <= who  # by the registry
    assert {name.split("/")[0] for name in who} >= {"promotion", "window", "windows"}
    assert job.main(["--root", str(old)]) == 0

    with records_of(str(old), MODEL) as records:
        checks = list(Verification(records, environment).checks())
    assert [check for check in checks if check.state == DIFFERENT] == []
    gone = {check.what for check in checks if check.state == GONE}
    assert "commits" in gone  # so it has let something go
    assert {check.what for check in checks} >= {"row counts", "predictions", "windows"}
    assert retrained(str(old), MODEL, environment, "2").is_same

    readings = three_nights.catalog.readings
    log = Log.of(f"{old}/{readings.layer}/{readings.name}")
    [first, *_] = [version for version in range(log.newest) if log.base(version) is not None]
    path = f"{old}/{readings.layer}/{readings.name}"
    rows = spark.read.format("delta").option("versionAsOf", first).load(path).count()
    assert rows == three_nights.store.read(readings, first).count()


def test_a_version_that_a_model_needs_is_missed_when_it_is_gone(old: Path):
    catalog = Reading(str(old), MODEL, EnvironmentSettings(root=str(old))).catalog
    table = catalog.labels
    log = Log.of(f"{old}/{table.layer}/{table.name}")
    for file in log.files:  # what a clean-up that knows of no models does
        if int(file.name.lstrip(".")[:20]) < log.newest:
            Path(f"{old}/{table.layer}/{table.name}/_delta_log/{file.name}").unlink()
    assert lineage_job.main(["--root", str(old), "--verify"]) == 1


def test_a_lakehouse_that_is_asked_to_forget_its_models_refuses(old: Path):
    with pytest.raises(ConfigurationError, match=r"is needed by .*nothing was removed"):
        job.main(["--root", str(old), "--keep-days", "3"])
