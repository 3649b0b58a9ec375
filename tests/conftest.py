"""What tests share: a Spark session, and what whole pipelines made, to be read."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from pyspark.sql import SparkSession
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

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


_OF_WHOLE_PIPELINES = {"three_nights", "depot", "shop"}
_READ_THEM = {
    "tests/app/test_whole_way.py",
    "tests/counterfactual/test_counterfactual.py",
    "tests/dashboard/test_lakehouse.py",
    "tests/docs/test_sql_doc.py",
    "tests/lineage/test_lakehouse.py",
    "tests/maintenance/test_lakehouse.py",
    "tests/monitoring/test_expected_accuracy.py",
    "tests/monitoring/test_metrics.py",
    "tests/monitoring/test_monitor.py",
    "tests/monitoring/test_small_batches.py",
    "tests/retraining/test_pipeline.py",
    "tests/retraining/test_spark_trainer.py",
    "tests/scoring/test_score.py",
    "tests/sql/test_prompt.py",
    "tests/sql/test_published.py",
    "tests/tables/test_readers.py",
    "tests/verification/test_verify.py",
}
"""The files that read what a whole pipeline made: they go to one process, so that none is run
twice."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for Spark, however indirectly: `make test-fast` leaves it out. It begins, and
    the short tests fill the processes evenly.
    """
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        if "spark" in asked:
            item.add_marker(pytest.mark.spark)
        if asked & _OF_WHOLE_PIPELINES and _file_of(item.nodeid) not in _READ_THEM:
            raise pytest.UsageError(f"{item.nodeid}: write its file to _READ_THEM")
    items.sort(
        key=lambda item: (
            "spark" not in item.keywords,
            _file_of(item.nodeid) not in _READ_THEM,
        )
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """With `--dist loadfile`, see `_READ_THEM`."""
    return _ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


class _ByFile(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = _file_of(nodeid)
        return "whole pipelines" if file in _READ_THEM else file


def _file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]
