"""A lakehouse of a test's own, quickly: it begins with a copy of MLflow's empty tables, which take
longer to make than all of its own.
"""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from mlflow import MlflowClient
from pyspark.sql import SparkSession

from lakehouse.app.opening import open_lakehouse
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.storage.lakehouse import Lakehouse

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk would double the time


def opened(spark: SparkSession, model: ModelSettings, root: Path) -> Lakehouse:
    """The lakehouse of the model at the root, with its own registry and landing folder in it."""
    database = Path(root) / "mlflow" / "mlflow.db"
    if not database.exists():
        database.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_empty_registry(), database)
    return open_lakehouse(spark, model, EnvironmentSettings(root=str(root)))


@cache
def _empty_registry() -> Path:
    """MLflow's own tables without a row of ours, made by MLflow once in a process."""
    folder = Path(tempfile.mkdtemp(prefix="registry-", dir=MEMORY))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(uri, uri)
    client.search_experiments()
    client.search_registered_models()
    return folder / "mlflow.db"
