"""What the tests share: one Spark session for all of them."""

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from lakehouse.session import open_session


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    session = open_session()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for Spark, however indirectly, is marked so: `make test-fast` leaves it out."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.spark)
