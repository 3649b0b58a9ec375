"""A copy that is taken while jobs write can be opened, and goes on to the same."""

import os
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.backup import main
from lakehouse.app.whole_way import run_pipeline
from lakehouse.errors import LockedError, RecoveryError
from lakehouse.recovery import parts
from lakehouse.recovery.backup import back_up
from lakehouse.recovery.comparison import differences
from lakehouse.recovery.copies import copy_checkpoint, copy_database
from lakehouse.storage import store
from lakehouse.storage.delta.locks import held_still, not_copied
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.plain_tables import append_rows, read_rows
from tests.recovery.plants import night, opened_plant
from tests.support.plain_delta import lakehouse_at

IDENTITY = {"ingested_at", "decided_at", "recorded_at", "resolved_at", "seconds", "run_id"}
IDENTITY |= {"evidence"}  # of a training: its seconds
IDENTITY |= {"query_id", "ingest_query"}  # of a stream that had not begun
CUTS = int(os.environ.get("COPY_CUTS", "1"))
"""A night; each takes as long as a night."""
MOST_WRITES = 24


def assert_as(copied: Lakehouse, undisturbed: Lakehouse) -> None:
    """Both hold the same, but for the clock."""
    catalog = copied.catalog
    for table in (
        *(catalog.bronze_readings, catalog.bronze_labels, catalog.scoring_ledger),
        *(*parts.from_lines(catalog), *parts.from_versions(catalog), *parts.computed(catalog)),
        *(catalog.decision, catalog.promotion),
    ):
        found, there = copied.store.rows(table), undisturbed.store.rows(table)
        keys = [key for key in table.keys if key not in IDENTITY]
        left_out = IDENTITY | parts.WHEN_MADE | {"table_versions"}
        assert differences(there, found, keys, left_out) == [], table.full_name
        assert len(found) == len(there), table.full_name
    assert copied.registry.champion() == undisturbed.registry.champion()


def test_a_copy_from_between_any_two_writes_goes_on_to_the_same(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cuts at random writes of a first night, and of one with a training."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    lakehouse = opened_plant(spark, tmp_path / "live")
    cuts: set[int] = set()
    writes: list[int] = []
    copies: list[Path] = []

    @contextmanager
    def with_copies(root: str) -> Iterator[None]:
        if root == lakehouse.store.root and len(writes) in cuts:
            copies.append(tmp_path / f"{len(copies)}")
            writes.append(0)
            back_up(root, str(copies[-1]))
        writes.append(0)
        with not_copied(root):
            yield

    monkeypatch.setattr(store, "not_copied", with_copies)
    for name, days in (("1", (0, 1)), ("2", (2, 3, 4))):
        cuts = set(chance.sample(range(MOST_WRITES), CUTS))
        writes.clear()
        copies_before = len(copies)
        night(lakehouse, name, days)
        cuts = set()
        for path in copies[copies_before:]:
            copied = opened_plant(spark, path)
            run_pipeline(copied, draws_page=False)
            assert_as(copied, lakehouse)
    assert len(copies) >= CUTS


def test_tables_of_a_copy_are_of_one_moment(tmp_path: Path) -> None:
    """Each number is written to a table that is looked at first, then to one that is last."""
    catalog, stop = lakehouse_at(tmp_path / "live"), threading.Event()
    root = str(tmp_path / "live")

    def write() -> None:
        number = 0
        while not stop.is_set():
            append_rows(root, catalog.alert_delivery, [{"attempt": number}])
            append_rows(root, catalog.scoring_cost, [{"batch_id": number}])
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for place in range(6):
            copied = str(back_up(root, str(tmp_path / f"copy{place}")).into)
            first = len(read_rows(copied, catalog.alert_delivery))
            last = len(read_rows(copied, catalog.scoring_cost))
            assert last <= first <= last + 1
    finally:
        stop.set()
        writer.join()


def test_a_write_waits_while_stock_is_taken_and_a_copy_for_a_write(tmp_path: Path) -> None:
    catalog = lakehouse_at(tmp_path)
    root = str(tmp_path)
    writer = threading.Thread(
        target=append_rows, args=(root, catalog.monitor, [{"monitor_version": 1}])
    )
    with held_still(root, 1.0):
        writer.start()
        writer.join(0.3)
        assert read_rows(root, catalog.monitor) == []
    writer.join()
    assert len(read_rows(root, catalog.monitor)) == 1
    too_long = pytest.raises(LockedError, match="written to all the time")
    with not_copied(root), too_long, held_still(root, 0.1):
        pass


def test_a_batch_counts_as_finished_only_with_its_plan(tmp_path: Path) -> None:
    live = tmp_path / "live"
    for folder, numbers in (("commits", range(6)), ("offsets", range(9))):
        (live / folder).mkdir(parents=True)
        for number in numbers:
            (live / folder / str(number)).write_text(str(number))
    (live / "metadata").write_text("its id")
    copy_checkpoint(live, tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy" / "commits").iterdir()} == set("012345")
    assert {path.name for path in (tmp_path / "copy" / "offsets").iterdir()} == set("0123456")
    assert (tmp_path / "copy" / "metadata").read_text() == "its id"


def test_a_database_is_copied_whole_while_it_is_written(tmp_path: Path) -> None:
    """What is committed is in the copy, though it still stands in the write-ahead log alone."""
    live, copied = tmp_path / "live.db", tmp_path / "copy" / "mlflow.db"
    with closing(sqlite3.connect(live)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE version (number INTEGER)")
        writer.execute("INSERT INTO version VALUES (1)")
        writer.commit()
        writer.execute("INSERT INTO version VALUES (2)")  # not committed
        copy_database(live, copied)
    with closing(sqlite3.connect(copied)) as reader:
        assert reader.execute("SELECT number FROM version").fetchall() == [(1,)]


def test_a_copy_that_was_cut_off_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakehouse_at(tmp_path / "live")
    root, into = str(tmp_path / "live"), tmp_path / "copy"

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("lakehouse.recovery.backup.copy_folder", cut_off)
        with pytest.raises(KeyboardInterrupt):
            back_up(root, str(into))
    assert not into.exists()
    assert len(back_up(root, str(into)).versions) == 27
    with pytest.raises(RecoveryError, match="is not empty"):
        back_up(root, str(into))


def test_a_file_that_was_removed_meanwhile_is_told_of(tmp_path: Path) -> None:
    catalog = lakehouse_at(tmp_path / "live")
    root = tmp_path / "live"
    append_rows(str(root), catalog.monitor, [{"monitor_version": 1}])
    for path in (root / "gold" / "monitor").glob("*.parquet"):
        path.unlink()
    with pytest.raises(RecoveryError, match="were removed while they were copied; copy again"):
        back_up(str(root), str(tmp_path / "copy"))


def test_the_job_says_what_it_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lakehouse_at(tmp_path / "live")
    main(["--root", str(tmp_path / "live"), "--into", str(tmp_path / "copy")])
    assert "27 tables" in capsys.readouterr().out
    assert (tmp_path / "copy" / "_system" / "model").read_text() == "glassware"
