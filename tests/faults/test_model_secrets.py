"""A planted secret is in no file of the lakehouse, no table, no tag of MLflow, no property of Spark
and nothing that a job prints, whether the job ends well or not.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from lakehouse.alerts.notify import Notifier
from lakehouse.app import command_line
from lakehouse.app.command_line import announce, exit_code_of
from lakehouse.app.opening import open_lakehouse
from lakehouse.operations import recorder
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.settings import EnvironmentSettings
from lakehouse.storage.queries import AVAILABLE_NOW
from tests.support.small_model import Settings, is_ok, model_of
from tests.support.written import first_version, told_at, write_labels

PLANTED = "pl4nted"
SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": f"{PLANTED}-mlflow",
    "LAKEHOUSE_SQL_PASSWORD": f"{PLANTED}-sql-password",
    "ALERT_HOOK": f"http://127.0.0.2:9/hooks/{PLANTED}-hook",
    "ALERT_TOKEN": f"{PLANTED}-token",
}


def told(settings: Settings) -> None:
    """An alert goes out by a webhook whose address and token are secret."""
    channel = {"kind": "webhook", "url_from": "ALERT_HOOK", "token_from": "ALERT_TOKEN"}
    rule = {"name": "any", "metric": "accuracy_score", "above": 0.0}
    settings["alerts"] = {"channels": [channel], "rules": [rule], "max_age": "10000 days"}


def contents(root: Path) -> Iterator[tuple[Path, str]]:
    """What each file holds; of Parquet its values and footers, of SQLite its rows."""
    for path in root.rglob("*"):
        if not path.is_file():
            continue
        if path.suffix == ".parquet":
            yield path, str(pq.read_table(path).to_pylist()) + str(pq.read_metadata(path).metadata)
        elif path.suffix == ".db":
            with closing(sqlite3.connect(path)) as connection:
                yield path, "\n".join(connection.iterdump())
        yield path, path.read_bytes().decode("utf-8", "replace")


def test_no_planted_secret_is_found_anywhere_after_jobs_that_ended_well_and_that_failed(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setattr(command_line, "_jobs", ["retrain_and_promote"])
    monkeypatch.setattr(command_line, "_opened_roots", [])
    monkeypatch.setattr(recorder, "_recorders", [])
    root = tmp_path / "lake"
    lakehouse = first_version(spark, root, told)
    write_labels(lakehouse, range(144, 200), is_ok)
    announce(str(root))
    Notifier(str(root), lakehouse.model, lakehouse.catalog).notify()

    def without_mlflow(_: object) -> None:
        place = f"http://ann:{PLANTED}-login@127.0.0.1:9"
        environment = EnvironmentSettings(root=str(root), tracking_uri=place)
        retrain_and_promote(open_lakehouse(spark, model_of(told), environment), AVAILABLE_NOW)

    def unforeseen(_: object) -> None:
        raise ValueError(
            f"no {told_at(0)} with {SECRETS['ALERT_TOKEN']} of {SECRETS['ALERT_HOOK']}"
        )

    assert [exit_code_of(main) for main in (without_mlflow, unforeseen)] == [2, 3]
    out, err = capfd.readouterr()
    assert "MLflow does not answer at http://***@127.0.0.1:9" in err
    assert PLANTED not in out + err
    assert list((root / "_system" / "log").iterdir())
    found = {path for path, text in contents(root) if PLANTED in text}
    assert found == set()
    properties = spark.sparkContext.getConf().getAll()
    assert not [pair for pair in properties if PLANTED in str(pair)]
