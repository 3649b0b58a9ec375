"""A stream whose checkpoint is lost, damaged or older than its tables: no line, quarantined line,
duplicate or prediction is lost or there twice, and metrics are as if nothing had happened.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.errors import StoreError
from lakehouse.ingest.account import account, files_account
from lakehouse.ingest.pipeline import ingest
from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.scoring.scorer import score
from lakehouse.storage.checkpoints import Checkpoint, Numbered, fault_of, ready, set_aside
from lakehouse.storage.faults import as_told
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.log_check import begin_anew_where_commits_are_lost
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.tables import Table
from tests.support.small_model import Line, land_lines, readings, small_lakehouse, truths
from tests.support.written import (
    A_DAY,
    DELAY,
    forget_newest_batch,
    forget_newest_commit,
    told_at,
    train,
)

STREAMS = ("ingest", "score", "aggregate_kpis")
OF_THE_RUN = {
    *("ingested_at", "ingest_batch", "ingest_query", "query_id", "batch_id"),
    *("as_of", "as_of_version", "recorded_at", "resolved_at", "logging_table_commit_version"),
}


def with_bad_ones(numbers: range) -> list[Line]:
    """Readings, among them a line to be rejected, one said twice, and one that contradicts it."""
    lines = readings(numbers)
    return [*lines, {**lines[0], "x": "far"}, lines[1], {**lines[1], "x": 0.123}]


def run_all(lakehouse: Lakehouse) -> None:
    for job in (ingest, score, aggregate_kpis):
        job(lakehouse, AVAILABLE_NOW)


def land_day(lakehouse: Lakehouse, day: int) -> None:
    numbers = range(day * A_DAY, (day + 1) * A_DAY)
    labels = truths(range((day - 1) * A_DAY, day * A_DAY), told=DELAY) if day else []
    land_lines(lakehouse, f"{day}.jsonl", with_bad_ones(numbers), labels)


@dataclass(frozen=True)
class Works:
    """A lakehouse of three days, each a micro-batch, and the same after a fourth undisturbed one."""

    spark: SparkSession
    folder: Path

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.folder / "works", folder / "works"))

    @property
    def undisturbed(self) -> Lakehouse:
        return small_lakehouse(self.spark, self.folder / "undisturbed")


@pytest.fixture(scope="module")
def works(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Works:
    folder = tmp_path_factory.mktemp("checkpoints")
    lakehouse = small_lakehouse(spark, folder / "works")
    for day in range(2):
        land_day(lakehouse, day)
        ingest(lakehouse, AVAILABLE_NOW)
    train(lakehouse, told_at(A_DAY - 1))
    run_all(lakehouse)
    land_day(lakehouse, 2)
    run_all(lakehouse)
    shutil.copytree(folder / "works", folder / "undisturbed")
    undisturbed = small_lakehouse(spark, folder / "undisturbed")
    land_day(undisturbed, 3)
    run_all(undisturbed)
    return Works(spark, folder)


def without_checkpoint(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint)


def without_id(checkpoint: Path) -> None:
    (checkpoint / "metadata").unlink()
    forget_newest_batch(checkpoint.parents[2], checkpoint.name)


def newest(checkpoint: Path, kind: str) -> Path:
    return max((checkpoint / kind).glob("[0-9]*"), key=lambda path: int(path.name))


def without_newest_offsets(checkpoint: Path) -> None:
    newest(checkpoint, "offsets").unlink()


def of_a_day_ago(checkpoint: Path) -> None:
    """An older copy of it was put back."""
    for kind in ("offsets", "commits"):
        newest(checkpoint, kind).unlink()


def empty_offsets(checkpoint: Path) -> None:
    newest(checkpoint, "offsets").write_bytes(b"")
    newest(checkpoint, "commits").unlink()


def empty_commit(checkpoint: Path) -> None:
    newest(checkpoint, "commits").write_bytes(b"")


FAULTS = [without_checkpoint, of_a_day_ago]
MORE_FAULTS = [without_id, without_newest_offsets, empty_offsets, empty_commit]
"""What is found of them is the same; that they are found, tests of the rules tell, too."""


def rows_of(lakehouse: Lakehouse, table: Table) -> Counter[str]:
    """Each row but for what tells which run made it."""
    return Counter(
        repr(sorted((name, value) for name, value in row.items() if name not in OF_THE_RUN))
        for row in lakehouse.store.rows(table)
    )


@pytest.mark.parametrize(
    "fault",
    [*FAULTS, *(pytest.param(each, marks=pytest.mark.soak) for each in MORE_FAULTS)],
    ids=lambda fault: fault.__name__,
)
def test_a_stream_goes_on_and_the_tables_are_as_if_nothing_had_happened(
    works: Works, tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    root = works.copy(tmp_path)
    for stream in STREAMS:
        checkpoint = root / "_system" / "checkpoints" / stream
        fault(checkpoint)
        for remains in checkpoint.rglob(".*.crc"):
            remains.unlink()
    # What has been read is not looked for in the landing folder again.
    for landed in (root / "landing").rglob("[01].jsonl"):
        landed.unlink()
    lakehouse = small_lakehouse(works.spark, root)
    land_day(lakehouse, 3)
    run_all(lakehouse)
    assert_undisturbed(works, lakehouse)


@pytest.mark.soak
def test_what_lost_newest_commits_held_comes_again(works: Works, tmp_path: Path) -> None:
    root, catalog = works.copy(tmp_path), works.undisturbed.catalog
    for table in (catalog.readings, catalog.predictions):
        forget_newest_commit(root, table)
    lakehouse = small_lakehouse(works.spark, root)
    land_day(lakehouse, 3)
    before = lakehouse.store.versions(*catalog.tables)
    for job in (ingest, score, aggregate_kpis):
        with pytest.raises(StoreError, match=r"its newest version is .*run_pipeline"):
            job(lakehouse, AVAILABLE_NOW)
    assert lakehouse.store.versions(*catalog.tables) == before
    begin_anew_where_commits_are_lost(lakehouse)  # as jobs/run_pipeline.py does
    run_all(lakehouse)
    assert_undisturbed(works, lakehouse)


def cleaned_up(path: str) -> None:
    """VACUUM without patience: files that a compaction has replaced are gone."""
    DeltaTable(path).optimize.compact()
    table = DeltaTable(path)
    assert table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)


def forgotten(path: str) -> None:
    """The log's own clean-up: commits below a checkpoint are gone."""
    table = DeltaTable(path)
    table.create_checkpoint()
    for commit in sorted(Path(path, "_delta_log").glob("*.json"))[:-1]:
        commit.unlink()


@pytest.mark.parametrize(
    ("clean", "says"),
    [
        (cleaned_up, r"the data file silver/reading/part-.*parquet is gone; put it back"),
        (forgotten, "commits that a stream or a reader needs are gone"),
    ],
    ids=["VACUUM", "log"],
)
def test_a_stream_whose_files_were_cleaned_up_stops_and_skips_nothing(
    works: Works, tmp_path: Path, clean: Callable[[str], None], says: str
) -> None:
    lakehouse = small_lakehouse(works.spark, works.copy(tmp_path))
    store, catalog = lakehouse.store, lakehouse.catalog
    for day in (3, 4):
        land_day(lakehouse, day)
        ingest(lakehouse, AVAILABLE_NOW)
    clean(store.path(catalog.readings))
    lakehouse = small_lakehouse(works.spark, Path(store.root))
    before = store.versions(*catalog.tables)
    with pytest.raises(Exception) as error:
        score(lakehouse, AVAILABLE_NOW)
    with pytest.raises(StoreError, match=says):
        raise as_told(error.value)
    assert store.version(catalog.predictions) == before[catalog.predictions.full_name]
    # What docs/faults.md says to do.
    set_aside(Path(store.checkpoint("score")))
    score(lakehouse, AVAILABLE_NOW)
    keys = [row["id"] for row in store.rows(catalog.predictions, columns=["id"])]
    assert sorted(keys) == [*range(5 * A_DAY)]


def assert_undisturbed(works: Works, lakehouse: Lakehouse) -> None:
    expected, catalog = works.undisturbed, lakehouse.catalog
    for table in (
        *(catalog.bronze_readings, catalog.bronze_labels, catalog.readings, catalog.labels),
        *(catalog.quarantine, catalog.duplicate, catalog.predictions, catalog.window_facts),
        *(catalog.profile_metrics, catalog.drift_metrics),
    ):
        assert rows_of(lakehouse, table) == rows_of(expected, table), table.full_name
    assert all(each.balances for each in account(lakehouse))
    assert not any(each.unreadable or each.waiting for each in files_account(lakehouse))


@pytest.mark.parametrize(
    ("offsets", "commits", "reached", "says"),
    [
        (Numbered(4, "v1\n{}\n-"), Numbered(4, "v1\n{}"), 4, None),
        (Numbered(4, "v1\n{}\n{}"), Numbered(3, "v1\n{}"), 4, None),  # it is replayed
        (Numbered(), Numbered(), -1, None),
        (Numbered(4, "v1\n{}"), Numbered(5, "v1\n{}"), 4, "offsets/5 is gone, though commits/"),
        (Numbered(4, "v1\n{}"), Numbered(4, "v1\n{}"), 6, "offsets/6 is gone, though a table"),
        (Numbered(4, ""), Numbered(3, "v1\n{}"), 3, "offsets/4 is empty or damaged"),
        (Numbered(4, "v1\n{}"), Numbered(4, "\0\0"), 4, "commits/4 is empty or damaged"),
        (Numbered(4, "v1\n{}\n{rese"), Numbered(3, "v1\n{}"), 3, "offsets/4 is empty or damaged"),
    ],
)
def test_a_checkpoint_that_numbers_other_rows_anew_is_not_gone_on_with(
    offsets: Numbered, commits: Numbered, reached: int, says: str | None
) -> None:
    found = fault_of(Checkpoint("q", offsets, commits), reached)
    assert found is None if says is None else says in str(found)


def test_a_checkpoint_without_its_streams_id_is_not_gone_on_with() -> None:
    whole = Numbered(0, "v1\n{}")
    assert "gone or damaged" in str(fault_of(Checkpoint(None, whole, Numbered()), -1))
    assert fault_of(Checkpoint(None, Numbered(), Numbered()), -1) is None


def test_what_is_set_aside_is_kept_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        checkpoint = tmp_path / "score"
        (checkpoint / "offsets").mkdir(parents=True)
        (checkpoint / "offsets" / "0").write_text("")
        with caplog.at_level(logging.WARNING):
            ready(str(checkpoint), "score", lambda _: -1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "score.damaged-1",
        "score.damaged-2",
    ]
    assert "nothing is lost, and nothing is done twice" in caplog.text
