"""Accidents in MLflow: scoring goes on with the champion of the ledger, and a person is told what
to do.
"""

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import RegistryError
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.scoring.scorer import score
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.promotion import rollback
from tests.support.rows import decisions
from tests.support.small_model import Settings, is_ok, small_lakehouse
from tests.support.written import aggregate, told_at, train, write_labels, write_readings


def often_refreshed(settings: Settings) -> None:
    """Training again costs nearly nothing."""
    settings["policy"] = {"price": 0.01}


@pytest.fixture(scope="module")
def two_versions(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """A lakehouse whose second version is in production. Tests write to copies of it."""
    lakehouse = small_lakehouse(
        spark, tmp_path_factory.mktemp("accidents") / "lake", often_refreshed
    )
    for day in range(2):
        come(lakehouse, range(130 * day, 130 * day + 130))
        train(lakehouse, told_at(130 * day + 129))
        score(lakehouse, AVAILABLE_NOW)
        aggregate(lakehouse, 0, 259, told_at(130 * day + 129))
    assert PromotionLedger(lakehouse).champion == "2"
    return lakehouse


def come(lakehouse: Lakehouse, numbers: range) -> None:
    """Readings with their labels are in silver."""
    write_readings(lakehouse, numbers)
    write_labels(lakehouse, numbers, is_ok)


def versions_of_new(lakehouse: Lakehouse) -> set[str]:
    """The versions that predicted the rows from 260 on."""
    rows = lakehouse.store.rows(lakehouse.catalog.predictions, columns=["id", "model_version"])
    return {row["model_version"] for row in rows if row["id"] >= 260}


@pytest.fixture
def lakehouse(two_versions: Lakehouse, tmp_path: Path) -> Lakehouse:
    root = shutil.copytree(two_versions.store.root, tmp_path / "lake")
    return small_lakehouse(two_versions.spark, root, often_refreshed)


def delete_alias(lakehouse: Lakehouse) -> None:
    lakehouse.registry._client.delete_registered_model_alias("small", "champion")


def delete_what_scoring_does_not_need(lakehouse: Lakehouse) -> None:
    delete_alias(lakehouse)
    delete_run(lakehouse)
    delete_experiment(lakehouse)


def move_alias_back(lakehouse: Lakehouse) -> None:
    lakehouse.registry._client.set_registered_model_alias("small", "champion", "1")


def move_alias_on(lakehouse: Lakehouse) -> None:
    client = lakehouse.registry._client
    another = client.create_model_version("small", client.get_model_version("small", "1").source)
    client.set_registered_model_alias("small", "champion", another.version)


def delete_version(lakehouse: Lakehouse) -> None:
    lakehouse.registry._client.delete_model_version("small", "2")


def delete_run(lakehouse: Lakehouse) -> None:
    lakehouse.registry._client.delete_run(lakehouse.registry.version("2").run_id)


def delete_experiment(lakehouse: Lakehouse) -> None:
    client = lakehouse.registry._client
    client.delete_experiment(client.get_experiment_by_name("small").experiment_id)


def delete_registered_model(lakehouse: Lakehouse) -> None:
    lakehouse.registry._client.delete_registered_model("small")


def delete_database(lakehouse: Lakehouse) -> None:
    Path(lakehouse.store.root, "mlflow", "mlflow.db").unlink()


GONE = (
    "version 2 of small, the champion by gold.promotion, is not in the registry any more; it stays "
    "in production"
)
MOVED = (
    "the alias champion of small names version 3, which this lakehouse did not promote last; "
    "version 2 stays"
)


@pytest.mark.parametrize(
    ("accident", "told"),
    [
        (move_alias_back, None),  # as a run leaves it that is cut off before it moves the alias
        (move_alias_on, MOVED),
        (delete_version, GONE),
        (
            delete_what_scoring_does_not_need,
            "the experiment small was deleted in MLflow; it is restored",
        ),
        (delete_registered_model, GONE),
        (delete_database, GONE),
    ],
)
def test_scoring_goes_on_with_the_champion_of_the_ledger_and_the_loop_finds_its_way(
    lakehouse: Lakehouse,
    accident: Callable[[Lakehouse], None],
    told: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    accident(lakehouse)
    after = small_lakehouse(lakehouse.spark, Path(lakehouse.store.root), often_refreshed)
    come(after, range(260, 390))
    with caplog.at_level(logging.WARNING, "lakehouse"):
        score(after, AVAILABLE_NOW)
        assert versions_of_new(after) == {"2"}
        aggregate(after, 260, 389, told_at(389))
        assert retrain_and_promote(after, AVAILABLE_NOW)
    assert bool(told) == bool(caplog.messages)
    assert told is None or any(told in message for message in caplog.messages)
    [*_, newest] = PromotionLedger(after).rows
    assert (newest["action"], newest["from_version"], newest["to_version"]) == (
        "promote",
        "2",
        PromotionLedger(after).champion,
    )
    assert PromotionLedger(after).champion > "2"
    assert after.registry.champion() == (
        "3" if accident is move_alias_on else PromotionLedger(after).champion
    )
    assert len(decisions(after)) == 3
    record = rollback(after, "ada", "the accident")  # and what was is still there
    assert PromotionLedger(after).champion == "2", record


def test_a_champion_whose_file_is_gone_is_one_sentence_with_the_remedy(
    lakehouse: Lakehouse,
) -> None:
    run_id = lakehouse.registry.version("2").run_id
    [folder] = Path(lakehouse.store.root, "mlflow", "artifacts").glob(f"{run_id}")
    shutil.rmtree(folder / "artifacts" / "model")
    come(lakehouse, range(260, 300))
    remedy = (
        "model/model.skops is not in the artifact store; restore it, or go back to the version "
        "before by"
    )
    with pytest.raises(
        RegistryError, match=re.escape(f"small version 2: {remedy} jobs/rollback.py")
    ):
        score(lakehouse, AVAILABLE_NOW)
    rollback(lakehouse, "ada", "its file is gone")
    score(lakehouse, AVAILABLE_NOW)
    assert versions_of_new(lakehouse) == {"1"}


def test_a_moved_lakehouse_has_its_models_with_it(two_versions: Lakehouse, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(two_versions.store.root, tmp_path / "away")).rename(
        tmp_path / "moved lake"
    )
    lakehouse = small_lakehouse(two_versions.spark, moved, often_refreshed)
    for run in lakehouse.registry._client.search_runs([lakehouse.registry._experiment]):
        assert run.info.artifact_uri.startswith(str(moved))
    come(lakehouse, range(260, 390))
    score(lakehouse, AVAILABLE_NOW)
    assert lakehouse.store.count(lakehouse.catalog.predictions) == 390
    assert versions_of_new(lakehouse) == {"2"}
    aggregate(lakehouse, 260, 389, told_at(389))
    assert retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert PromotionLedger(lakehouse).champion == lakehouse.registry.champion() == "3"
