"""What the tests share: one Spark session for all of them, and the glass works at its nights."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from pyspark.sql import SparkSession

from lakehouse.storage.session import LOCAL_PROPERTIES, open_session
from tests.support.rows import Plant, glassware_plant

# How fast a machine is decides nothing.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The session of the local properties, in a machine that compiles quickly: what tests run
    runs a few times, and the second compiler would cost a third of their time.
    """
    properties = LOCAL_PROPERTIES.read_text()
    quick = properties.replace("-XX:+UseParallelGC", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
    path = tmp_path_factory.mktemp("session") / "spark.properties"
    path.write_text(quick)
    session = open_session(path)
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def plant(spark: SparkSession) -> Plant:
    """See `glassware_plant`."""
    return glassware_plant(spark)


@pytest.fixture(scope="module")
def newest(plant: Plant) -> Any:
    """The plant's lakehouse on its last night; for tests that only read."""
    return plant.at("newest")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for Spark, however indirectly, is marked so: `make test-fast` leaves
    it out.
    """
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.spark)
