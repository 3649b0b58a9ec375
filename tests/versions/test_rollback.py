"""A person goes back to the version before: on record, once, and not undone by the loop."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import LockedError, RegistryError
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.versions.promotion import rollback
from tests.support.rows import promotions
from tests.support.small_model import small_lakehouse
from tests.support.written import copy_of, second_version


@pytest.fixture(scope="module")
def works(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Version 2 has taken over from version 1; tests write to copies."""
    return second_version(spark, tmp_path_factory.mktemp("rollback") / "lake")


@pytest.fixture
def lakehouse(works: Lakehouse, tmp_path: Path) -> Lakehouse:
    return copy_of(works, tmp_path / "lake")


def test_it_goes_back_to_the_version_before_and_is_on_record(lakehouse: Lakehouse) -> None:
    promoted = promotions(lakehouse)[-1]
    assert rollback(lakehouse, "ada", "v2 grades badly") == ("2", "1")
    assert lakehouse.registry.champion() == "1"
    row = promotions(lakehouse)[-1]
    assert (row["action"], row["who"], row["reason"]) == ("rollback", "ada", "v2 grades badly")
    assert (row["from_version"], row["to_version"]) == ("2", "1")
    assert row["model_sha256"] == lakehouse.registry.version("1").sha256
    assert row["as_of"] == promoted["as_of"]


def test_the_loop_does_not_undo_it(lakehouse: Lakehouse) -> None:
    rollback(lakehouse, "ada", "v2 grades badly")
    assert not retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert lakehouse.registry.champion() == "1"


def test_one_that_was_killed_before_the_alias_moved_is_finished(lakehouse: Lakehouse) -> None:
    rollback(lakehouse, "ada", "v2 grades badly")
    lakehouse.registry.promote("2")
    retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert lakehouse.registry.champion() == "1"


def test_from_the_first_version_there_is_none_to_go_back_to(lakehouse: Lakehouse) -> None:
    rollback(lakehouse, "ada", "v2 grades badly")
    before = promotions(lakehouse)
    with pytest.raises(RegistryError, match="version 1 is the first; there is none to go back to"):
        rollback(lakehouse, "ada", "v1 too")
    assert lakehouse.registry.champion() == "1"
    assert promotions(lakehouse) == before


def test_without_a_champion_there_is_nothing_to_go_back_from(
    spark: SparkSession, tmp_path: Path
) -> None:
    with pytest.raises(RegistryError, match="has no champion yet"):
        rollback(small_lakehouse(spark, tmp_path / "lake"), "ada", "why not")


def test_while_another_process_writes_the_ledger_it_is_refused(lakehouse: Lakehouse) -> None:
    with (
        lakehouse.store.writing(lakehouse.catalog.promotion),
        pytest.raises(LockedError, match=r"gold\.promotion"),
    ):
        rollback(lakehouse, "ada", "v2 grades badly")
    assert lakehouse.registry.champion() == "2"
