"""The settings of conf/ that a Spark session runs with."""

from pathlib import Path

import pytest

from lakehouse.storage.session import read_properties

OPTIONS = "spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions"


@pytest.mark.parametrize("name", ["local", "cluster"])
def test_java_has_room_for_what_it_compiles(name: str) -> None:
    """With one compiler it has 48 MB without this, and stops compiling once they are full."""
    settings = read_properties(Path(f"conf/spark-{name}.properties"))
    given = [settings[option] for option in OPTIONS if option in settings]
    assert given
    assert all("-XX:ReservedCodeCacheSize=512m" in each.split() for each in given)
