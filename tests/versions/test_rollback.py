import pytest

from lakehouse.errors import LockedError, RegistryError
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.versions.promotion import rollback


def promotions(lakehouse) -> list:
    return sorted(
        lakehouse.store.rows(lakehouse.catalog.promotion), key=lambda row: row["recorded_at"]
    )


def test_it_goes_back_to_the_version_before_and_is_on_record(plant, tmp_path):
    lakehouse = plant.copy("drifted", tmp_path)
    assert rollback(lakehouse, "ada", "v2 grades badly") == ("2", "1")
    assert lakehouse.registry.champion() == "1"
    row = promotions(lakehouse)[-1]
    assert (row["action"], row["who"], row["reason"]) == ("rollback", "ada", "v2 grades badly")
    assert (row["from_version"], row["to_version"]) == ("2", "1")
    assert row["model_sha256"] == lakehouse.registry.version("1").sha256
    assert row["as_of"] == promotions(plant.at("drifted"))[-1]["as_of"]


def test_the_loop_does_not_undo_it(plant, tmp_path):
    lakehouse = plant.copy("drifted", tmp_path)
    rollback(lakehouse, "ada", "v2 grades badly")
    assert not retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert lakehouse.registry.champion() == "1"


def test_one_that_was_killed_before_the_alias_moved_is_finished(plant, tmp_path):
    lakehouse = plant.copy("drifted", tmp_path)
    rollback(lakehouse, "ada", "v2 grades badly")
    lakehouse.registry.promote("2")
    retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert lakehouse.registry.champion() == "1"


def test_the_first_version_cannot_be_rolled_back(plant, tmp_path):
    lakehouse = plant.copy("first", tmp_path)
    with pytest.raises(RegistryError, match="version 1 is the first; there is none to go back to"):
        rollback(lakehouse, "ada", "why not")
    assert lakehouse.registry.champion() == "1"
    assert len(promotions(lakehouse)) == 1


def test_after_a_rollback_to_the_first_there_is_none_to_go_back_to(plant, tmp_path):
    lakehouse = plant.copy("drifted", tmp_path)
    rollback(lakehouse, "ada", "v2 grades badly")
    with pytest.raises(RegistryError, match="version 1 is the first"):
        rollback(lakehouse, "ada", "v1 too")


def test_without_a_champion_there_is_nothing_to_go_back_from(plant, tmp_path):
    lakehouse = plant.copy("waiting", tmp_path)
    with pytest.raises(RegistryError, match="has no champion yet"):
        rollback(lakehouse, "ada", "why not")


def test_it_waits_for_nobody_who_writes_the_ledger(plant, tmp_path):
    lakehouse = plant.copy("drifted", tmp_path)
    with (
        lakehouse.store.writing(lakehouse.catalog.promotion),
        pytest.raises(LockedError, match=r"gold\.promotion"),
    ):
        rollback(lakehouse, "ada", "v2 grades badly")
    assert lakehouse.registry.champion() == "2"
