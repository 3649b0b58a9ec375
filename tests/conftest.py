"""What tests share: a Spark session, and what whole pipelines made, to be read."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from pyspark.sql import SparkSession

from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.session import LOCAL_PROPERTIES, open_session
from tests.support.rows import Shop, parcel_depot, repair_shop, works_after_three_nights

# How fast a machine is decides nothing.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The session of the local properties, without Java's second compiler: what tests run runs a
    few times, and it would take more than a third of the machine's time to save less.
    """
    properties = LOCAL_PROPERTIES.read_text()
    quick = properties.replace("-XX:+UseParallelGC", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
    path = tmp_path_factory.mktemp("session") / "spark.properties"
    path.write_text(quick)
    session = open_session(path)
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def three_nights(spark: SparkSession) -> Lakehouse:
    """See `works_after_three_nights`."""
    return works_after_three_nights(spark)


@pytest.fixture(scope="session")
def depot(spark: SparkSession) -> Lakehouse:
    """See `parcel_depot`."""
    return parcel_depot(spark)


@pytest.fixture(scope="session")
def shop(spark: SparkSession) -> Shop:
    """See `repair_shop`."""
    return repair_shop(spark)


WHOLE = "whole pipelines"
_WHOLE_PIPELINES = {"three_nights", "depot", "shop"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for Spark, and say what goes to one process.

    A test that asks for Spark, however indirectly, is marked so: `make test-fast` leaves it out.
    The tests of a module go to one process, and so do all that read what a whole pipeline made, so
    that none is run twice. Those of Spark begin: the short ones fill the processes evenly.
    """
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        if "spark" in asked:
            item.add_marker(pytest.mark.spark)
        if not item.get_closest_marker("xdist_group"):
            group = WHOLE if asked & _WHOLE_PIPELINES else item.location[0]
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: ("spark" not in item.keywords, _group_of(item) != WHOLE))


def _group_of(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else ""
