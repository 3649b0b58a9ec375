"""Silver and gold, made again from bronze and the registry, are what they were, and go on."""

import shutil
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from jobs.rebuild import main
from lakehouse.errors import RecoveryError
from lakehouse.recovery import parts
from lakehouse.recovery.comparison import compare, differences
from lakehouse.recovery.rebuild import copy_what_is_left, rebuild
from lakehouse.settings import load_model_settings
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.tables import catalog_of
from tests.recovery.plants import night, opened_plant, plant, with_corrections
from tests.support.small_model import settings_of


@pytest.fixture(scope="module")
def before(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """To be read alone."""
    return plant(spark, tmp_path_factory.mktemp("plant") / "before")


@pytest.fixture(scope="module")
def made_again(
    spark: SparkSession, before: Lakehouse, tmp_path_factory: pytest.TempPathFactory
) -> Lakehouse:
    """Made from bronze and the registry alone: silver and gold were gone, and no file has landed
    where it looks. To be read alone.
    """
    folder = tmp_path_factory.mktemp("again")
    lost = folder / "lost"
    shutil.copytree(
        before.store.root, lost, ignore=shutil.ignore_patterns("silver", "gold", "landing")
    )
    root = copy_what_is_left(str(lost), str(folder / "new"))
    lakehouse = opened_plant(spark, Path(root))
    rebuild(lakehouse, str(lost))
    return lakehouse


def test_each_table_has_one_way_to_be_made_again() -> None:
    catalog = catalog_of(load_model_settings("conf/glassware.yaml"))
    ways = (
        parts.copied,
        parts.from_lines,
        parts.from_versions,
        parts.computed,
        parts.records,
        parts.operations,
        parts.anew,
    )
    every = [table.full_name for way in ways for table in way(catalog)]
    assert sorted(every) == sorted(table.full_name for table in catalog.tables)


def test_the_history_has_what_could_go_wrong(before: Lakehouse) -> None:
    store, catalog = before.store, before.catalog
    assert store.count(catalog.quarantine) >= 4 * 3
    assert store.count(catalog.duplicate) >= 4 * 3
    assert store.has_any(catalog.labels, "is_correction")
    scored = {row["model_version"] for row in store.rows(catalog.scoring_ledger)}
    assert len(scored) > 1
    assert {row["action"] for row in store.rows(catalog.promotion)} >= {"promote", "rollback"}


def test_all_is_the_same_though_silver_and_gold_were_gone(
    before: Lakehouse, made_again: Lakehouse
) -> None:
    compared = compare(made_again, before.store.root)
    assert [str(each) for each in compared if not each.is_same or each.differences is None] == []
    rows = {each.name: each.rows for each in compared}
    assert rows["silver.guess"] == rows["silver.reading"] == 6 * 144
    assert rows["gold.decision"] and rows["gold.promotion"] and rows["gold.window_facts"]


def test_delta_versions_of_silver_are_those_that_are_on_record(
    before: Lakehouse, made_again: Lakehouse
) -> None:
    catalog = before.catalog
    silver = (catalog.readings, catalog.labels, catalog.predictions)
    assert made_again.store.versions(*silver) == before.store.versions(*silver)


def test_the_next_night_is_the_same_as_in_the_undisturbed_lakehouse(
    spark: SparkSession, before: Lakehouse, made_again: Lakehouse, tmp_path: Path
) -> None:
    pair = []
    for name, source in (("undisturbed", before), ("again", made_again)):
        shutil.copytree(source.store.root, tmp_path / name)
        pair.append(opened_plant(spark, tmp_path / name))
        night(pair[-1], "5", (6,))
    undisturbed, again = pair
    assert again.store.count(again.catalog.bronze_readings) == undisturbed.store.count(
        undisturbed.catalog.bronze_readings
    )
    catalog = again.catalog
    identity = {
        "query_id",
        "batch_id",
        "ingested_at",
        "ingest_query",
        "decided_at",
        "table_versions",
        "landed_at",
        "recorded_at",
    }
    for table in (
        *parts.from_lines(catalog),
        *parts.from_versions(catalog),
        *parts.computed(catalog),
        catalog.decision,
        catalog.promotion,
    ):
        one, other = (lakehouse.store.rows(table) for lakehouse in pair)
        keys = [key for key in table.keys if key not in identity]
        assert differences(one, other, keys, identity | parts.WHEN_MADE) == [], table.full_name
        assert len(one) == len(other)


def test_a_record_that_cannot_be_read_comes_from_bronze_and_is_told_of(
    spark: SparkSession,
    before: Lakehouse,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lost = tmp_path / "lost"
    shutil.copytree(before.store.root, lost, ignore=shutil.ignore_patterns("landing"))
    (lost / "gold" / "promotion" / "_delta_log" / f"{1:020d}.json").write_text("{")
    (lost / "silver" / "guess" / "_delta_log" / f"{0:020d}.json").unlink()
    settings = tmp_path / "small.yaml"
    settings.write_text(yaml.safe_dump(settings_of(with_corrections)))
    into = tmp_path / "new"
    assert main(["--model", str(settings), "--root", str(lost), "--into", str(into)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert any(words.startswith("gold.promotion cannot be read any more") for words in told)
    for table in ("silver.guess", "gold.promotion"):
        [words] = [words for words in told if words.startswith(f"{table}: ")]
        assert words.endswith("what was there cannot be read")
    assert sum(words.endswith("; the same") for words in told) == 18
    lakehouse = opened_plant(spark, into)
    assert [str(each) for each in compare(lakehouse, before.store.root) if not each.is_same] == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "bronze").mkdir(parents=True)
    into = tmp_path / "into"
    into.mkdir()
    (into / "mine").write_text("precious")
    with pytest.raises(RecoveryError, match="is not empty"):
        copy_what_is_left(str(root), str(into))
    with pytest.raises(RecoveryError, match="lie in one another"):
        copy_what_is_left(str(root), str(root / "new"))
    with pytest.raises(RecoveryError, match="there is no bronze"):
        copy_what_is_left(str(root), str(tmp_path / "new"))
    assert (into / "mine").read_text() == "precious"
