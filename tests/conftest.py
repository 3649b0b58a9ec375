"""What tests share: a Spark session, and what whole pipelines made, to be read."""

from collections.abc import Iterator
from pathlib import Path

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
    "tests/monitoring/test_window_profiler.py",
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

_LONG = {
    "tests/app/test_command_line.py::test_the_whole_way_by_spark_submit_ends_well_and_the_account_balances",
    "tests/app/test_continuous.py",
    "tests/counterfactual/test_counterfactual.py",
    "tests/dashboard/test_lakehouse.py::test_the_answers_are_those_that_spark_gives_to_the_same_queries",
    "tests/demo/test_demo.py",
    "tests/faults/test_full_disk.py",
    "tests/faults/test_landing.py",
    "tests/faults/test_late_labels.py",
    "tests/faults/test_lost_checkpoints.py",
    "tests/faults/test_model_mlflow_faults.py",
    "tests/faults/test_promotion_while_scoring.py",
    "tests/faults/test_worker_killed.py",
    "tests/faults/test_worker_rows.py",
    "tests/glassware/test_source.py",
    "tests/history/test_pipeline.py",
    "tests/ingest/test_corrections.py",
    "tests/ingest/test_fuzz.py",
    "tests/ingest/test_history_features.py",
    "tests/ingest/test_landed_files.py",
    "tests/ingest/test_odd_values.py",
    "tests/kills/test_named_steps.py",
    "tests/maintenance/test_maintain.py",
    "tests/maintenance/test_streams.py",
    "tests/recovery/test_backup.py",
    "tests/recovery/test_rebuild.py",
    "tests/retraining/policy/test_needed_entries.py",
    "tests/retraining/test_regression_loop.py",
    "tests/retraining/test_rollout_night.py",
    "tests/retraining/test_table_ledger.py",
    "tests/retraining/test_table_predictions.py",
    "tests/scoring/test_two_arms.py",
    "tests/serving/test_landed_answers.py",
    "tests/serving/test_rollout_rows.py",
    "tests/simulation/test_replay.py",
    "tests/sql/test_prompt.py",
    "tests/sql/test_server.py",
    "tests/storage/test_locks.py",
    "tests/tables/test_migration.py",
    "tests/verification/test_verify.py",
    "tests/versions/test_approval.py",
    "tests/versions/test_changed_settings.py",
    "tests/versions/test_registry_accidents.py",
}
"""Files and tests that run pipelines again and again, kill them, or start processes: `make test`
leaves them out, `make test-all` runs them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is long, and what asks for Spark, however indirectly: `make test-fast` leaves it
    out. It begins, and the short tests fill the processes evenly.
    """
    gone = sorted(file for file in _LONG | _READ_THEM if not Path(_file_of(file)).exists())
    if gone:
        raise pytest.UsageError(f"tests/conftest.py names {', '.join(gone)}, which is not there")
    for item in items:
        if {item.nodeid, _file_of(item.nodeid)} & _LONG:
            item.add_marker(pytest.mark.long)
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
