"""A lakehouse of a test's own, quickly: it begins with a copy of MLflow's empty tables, which take
longer to make than all of its own.
"""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse.app.opening import open_lakehouse
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.storage.lakehouse import Lakehouse

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk would double the time


def opened(
    spark: SparkSession, model: ModelSettings, root: Path, landing: Path | str | None = None
) -> Lakehouse:
    """The lakehouse of the model at the root, with its own registry in it, and its landing folder
    too, if none is given.
    """
    database = Path(root) / "mlflow" / "mlflow.db"
    if not database.exists():
        database.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(empty_registry(), database)
    environment = EnvironmentSettings(root=str(root), landing=landing and str(landing))
    return open_lakehouse(spark, model, environment)


@cache
def empty_registry() -> Path:
    """MLflow's own tables without a row of ours, made by MLflow once in a process."""
    from mlflow import MlflowClient  # seconds, which tests without Spark need not wait for

    folder = Path(tempfile.mkdtemp(prefix="registry-", dir=MEMORY))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(uri, uri)
    client.search_experiments()
    client.search_registered_models()
    return folder / "mlflow.db"
