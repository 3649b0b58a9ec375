"""Open a lakehouse: check its settings, create what is missing, write SQL's statements."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from pyspark.sql import SparkSession

from lakehouse.alerts.notify import check_alerts
from lakehouse.errors import ConfigurationError
from lakehouse.models import Classification, Meaning, check_families, problem_of
from lakehouse.monitoring.custom.check import custom_metrics_of
from lakehouse.monitoring.custom.slices import check_slices
from lakehouse.monitoring.transforms import primary_schema
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.sql.catalogue import as_duckdb_sql, as_spark_sql
from lakehouse.sql.views import views_of
from lakehouse.storage.folders import write_changed
from lakehouse.storage.lakehouse import Lakehouse, absolute
from lakehouse.storage.log_check import check_logs
from lakehouse.storage.store import Store
from lakehouse.tables import View, catalog_of
from lakehouse.versions.actions import ADMITTED

# delta-rs and Spark's readers take these for patterns or escapes; Java writes ? for é.
_REFUSED = "[]%\\?*{}\ufffd"


def open_lakehouse(
    spark: SparkSession, model: ModelSettings, environment: EnvironmentSettings
) -> Lakehouse:
    """Open the lakehouse under the environment's root; create what is not there.

    Raises:
        ConfigurationError: the root belongs to another model.
        StoreError: a table's log is damaged, or the table is not as declared.
    """
    check_families(model.training.families, problem_of(model))
    root = checked_root(environment.root, _encodes_names(spark))
    if "://" in root and environment.tracking_uri is None:
        raise ConfigurationError(
            f"tracking_uri: write an MLflow server's; SQLite cannot live under {root}"
        )
    catalog = catalog_of(model)
    views = views_of(model, catalog)
    _claim(root, model)
    store = Store(spark, root, catalog)
    check_slices(spark, model.metrics.slices, primary_schema(store.catalog, model))
    custom_metrics_of(spark, catalog, model)  # a wrong one is told now
    check_alerts(model, catalog)
    check_logs(store)
    # What can be wrong with the settings is told by now: tables are created last.
    store.create_missing()
    lakehouse = Lakehouse(model.knowing(_known_classes(store, model)), environment, store)
    if "://" not in root:
        _write_sql(views, store)
    return lakehouse


def _known_classes(store: Store, model: ModelSettings) -> list[Any]:
    """The classes that versions in production know, by their codes; new ones come behind them."""
    promoted = store.rows(
        store.catalog.promotion, pc.field("action").isin(ADMITTED), ["recorded_at", "meaning"]
    )
    if not promoted or model.is_regression:
        return []
    meanings = [row["meaning"] for row in sorted(promoted, key=lambda row: row["recorded_at"])]
    problems = [Meaning.from_json(text).problem for text in meanings if text]
    by_version = (problem.classes for problem in problems if isinstance(problem, Classification))
    classes = [label for classes in by_version for label in classes]
    older = _classes_of_older_release(store, model) if None in meanings else []
    return list(dict.fromkeys([*older, *classes]))


def _classes_of_older_release(store: Store, model: ModelSettings) -> list[Any]:
    """The classes that metrics were computed for, where a release kept none with its versions."""
    monitors = store.rows(store.catalog.monitor, columns=["monitor_version", "configuration"])
    if not monitors:
        return list(model.classes)
    oldest = min(monitors, key=lambda row: row["monitor_version"])
    kind = model.labels.columns[model.labels.label].type
    readers: dict[str, Callable[[str], Any]] = {
        "integer": int,
        "long": int,
        "double": float,
        "boolean": "true".__eq__,
    }
    read = readers.get(kind, str)
    return [read(text) for text in json.loads(oldest["configuration"])["predicts"]["classes"]]


def _write_sql(views: tuple[View, ...], store: Store) -> None:
    """Write the statements that name tables and views in Spark and DuckDB, if they changed."""
    for name, statements in (("tables.sql", as_spark_sql), ("tables.duckdb.sql", as_duckdb_sql)):
        sql = statements(store.catalog, views, store.root, store.path)
        path = Path(store.root) / "_system" / name
        write_changed(path, sql.encode())


def checked_root(given: str, encodes_names: bool) -> str:
    """The absolute root.

    Args:
        given: by the settings.
        encodes_names: whether Java can write names that are not ASCII.

    Raises:
        ConfigurationError: a library that writes tables takes its name for something else.
    """
    root = absolute(given)
    strange = sorted({letter for letter in root if letter in _REFUSED or not letter.isprintable()})
    if "://" not in root and strange:
        shown = " ".join(map(repr, strange))
        raise ConfigurationError(
            f"root: {root!r} has {shown} in it, which not every reader takes as it is; rename it"
        )
    if "://" not in root and not (root.isascii() or encodes_names):
        raise ConfigurationError(
            f"root: {root!r} is not ASCII, and this Java's locale cannot write it; set "
            "LC_ALL=C.UTF-8, or rename it"
        )
    return root


def _encodes_names(spark: SparkSession) -> bool:
    encoding = str(spark._jvm.java.lang.System.getProperty("sun.jnu.encoding"))  # type: ignore[union-attr]
    return encoding.upper().replace("-", "") == "UTF8"


def _claim(root: str, model: ModelSettings) -> None:
    """One root, one model: its metric tables have no column that would tell two apart."""
    if "://" in root:
        return
    owner = Path(root) / "_system" / "model"
    owner.parent.mkdir(parents=True, exist_ok=True)
    if not owner.exists():
        owner.write_text(model.name)
    if owner.read_text() != model.name:
        raise ConfigurationError(
            f"root: {root} holds the model {owner.read_text()}; write another root for {model.name}"
        )
