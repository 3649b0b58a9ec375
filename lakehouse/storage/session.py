"""The Spark session of a job: spark-submit's, or one built from the same properties file."""

import logging
import os
import sys
from pathlib import Path

from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from lakehouse.errors import ConfigurationError

LOCAL_PROPERTIES = Path("conf/spark-local.properties")


def open_session(properties_file: Path = LOCAL_PROPERTIES) -> SparkSession:
    """The running session, or a new one with the settings of `properties_file`.

    Under spark-submit the JVM already has its settings (from `--properties-file`), and the file is
    not read again.

    Raises:
        ConfigurationError: the file is needed and not there, or Spark runs without Delta.
    """
    builder = SparkSession.builder
    # spark-submit sets this variable for the Python that it starts.
    if "PYSPARK_GATEWAY_PORT" not in os.environ and SparkSession.getActiveSession() is None:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        for key, value in read_properties(properties_file).items():
            builder = builder.config(key, value)
    session = builder.getOrCreate()
    for kind in ("SQL", "DataFrame"):
        # They log the value that an expression failed on; whoever catches the error tells of it.
        PySparkLogger.getLogger(f"{kind}QueryContextLogger").setLevel(logging.CRITICAL + 1)
    if "io.delta" not in (session.conf.get("spark.sql.extensions", "") or ""):
        raise ConfigurationError(
            "spark.sql.extensions: Spark runs without Delta Lake; start it with --properties-file "
            f"{LOCAL_PROPERTIES}"
        )
    return session


def read_properties(path: Path) -> dict[str, str]:
    """The settings of a Spark properties file: a key, white space, a value; `#` comments."""
    if not path.is_file():
        raise ConfigurationError(
            f"{path}: no such properties file; run from the repository's root or name one"
        )
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}
