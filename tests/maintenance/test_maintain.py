"""Maintenance on disk: what must stay readable is, the rest is gone, and nothing is done twice."""

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from jobs import maintain as job
from lakehouse.errors import ConfigurationError, LockedError, StoreError
from lakehouse.maintenance.account import Account, as_lines
from lakehouse.maintenance.maintain import Maintenance
from lakehouse.maintenance.reading import Reading
from lakehouse.operations import marks
from lakehouse.operations.rows import Process
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.delta.declared_tables import create
from lakehouse.storage.delta.locks import exclusive
from lakehouse.storage.delta.log_files import Log
from lakehouse.tables import (
    PROMOTION,
    SCORING_COST,
    SCORING_LEDGER,
    WINDOW_FACTS,
    Table,
    catalog_of,
)
from lakehouse.tables.arrow_types import arrow_schema
from tests.support.aged import aged

MODEL = load_model_settings("conf/glassware.yaml")
CATALOG = catalog_of(MODEL)
DAY = dt.timedelta(days=1)
LONG_AGO = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
Reads = Callable[[int], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lakehouse of the glass works without a row."""
    root = tmp_path_factory.mktemp("lakehouses") / "empty"
    for table in CATALOG.tables:
        create(table, path_of(root, table))
    (root / "_system").mkdir()
    (root / "_system" / "model").write_text(MODEL.name)
    return root


@pytest.fixture(scope="module")
def aged_batches(empty: Path) -> Path:
    """The same with 220 batches of two months ago, gathered on the way, and ten of now; a model was
    trained on the scoring ledger at version 57.
    """
    root = empty.with_name("old")
    shutil.copytree(empty, root)
    batches(root, 220)
    promoted(root, 5, 57)
    aged(root)
    batches(root, 10, first=220)
    return root


@pytest.fixture
def root(empty: Path, tmp_path: Path) -> Path:
    """A copy of the empty one, to be written to."""
    return shutil.copytree(empty, tmp_path / "root")


@pytest.fixture
def old(aged_batches: Path, tmp_path: Path) -> Path:
    """A copy of the aged one, to be written to."""
    return shutil.copytree(aged_batches, tmp_path / "old")


def path_of(root: Path, table: Table) -> str:
    return f"{root}/{table.layer}/{table.name}"


def append(root: Path, table: Table, **values: Any) -> None:
    """A commit of one row; what is not given is null."""
    rows = pa.Table.from_pylist([values], pa.schema(arrow_schema(table)))
    write_deltalake(path_of(root, table), rows, mode="append")


def batches(root: Path, n: int, first: int = 0) -> None:
    """So many commits of the scoring ledger, gathered on the way as the store does."""
    path = path_of(root, SCORING_LEDGER)
    delta, schema = DeltaTable(path), pa.schema(arrow_schema(SCORING_LEDGER))
    for number in range(first, first + n):
        row = {"query_id": "q", "batch_id": number}
        write_deltalake(delta, pa.Table.from_pylist([row], schema), mode="append")
        if number % 50 == 49:
            delta.optimize.compact()


def promoted(root: Path, number: int, version: int) -> None:
    """A row of the ledger: a model was trained on the scoring ledger at a version."""
    append(
        root,
        PROMOTION,
        as_of=LONG_AGO,
        recorded_at=LONG_AGO,
        action="promote",
        to_version=str(number),
        table_versions={SCORING_LEDGER.full_name: version},
    )


def maintained(root: Path, is_dry: bool = False, **given: Any) -> dict[str, Account]:
    reading = Reading(str(root), MODEL, EnvironmentSettings(root=str(root)))
    return {each.table: each for each in Maintenance(reading, **given).accounts(is_dry)}


def batches_at(root: Path, version: int | None = None) -> list[int]:
    delta = DeltaTable(path_of(root, SCORING_LEDGER), version=version)
    return sorted(delta.to_pyarrow_table(columns=["batch_id"])["batch_id"].to_pylist())


def there(root: Path) -> dict[str, bytes]:
    """Every file but for locks, with its content."""
    files = (path for path in root.rglob("*") if path.is_file() and "locks" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_what_a_promotion_needs_stays_readable_and_the_rest_goes(old: Path):
    expected = {version: batches_at(old, version) for version in (57, 224, 234)}
    account = maintained(old)[SCORING_LEDGER.full_name]
    assert account.kept.pinned == {57: ("promotion/2024-01-01/promote/5",)}
    assert {version: batches_at(old, version) for version in expected} == expected
    assert batches_at(old) == list(range(230))
    log = Log.of(path_of(old, SCORING_LEDGER))
    assert log.is_whole
    assert [log.base(version) for version in (48, 100, 148)] == [None] * 3
    assert account.after.log < account.before.log / 2
    assert account.after.on_disk < account.before.on_disk * 2 / 3
    on_disk = sum(1 for _ in Path(path_of(old, SCORING_LEDGER)).glob("*.parquet"))
    assert on_disk == account.after.on_disk


def test_every_version_is_whole_or_gone(old: Path):
    rows = {version: batches_at(old, version) for version in (*range(1, 235, 13), 57, 234)}
    maintained(old)
    log = Log.of(path_of(old, SCORING_LEDGER))
    readable = [version for version in rows if log.base(version) is not None]
    assert 57 in readable and 234 in readable and len(readable) < len(rows) / 2
    assert all(batches_at(old, version) == rows[version] for version in readable)


def test_running_it_again_changes_nothing(old: Path):
    maintained(old)
    before = there(old)
    again = maintained(old)
    assert there(old) == before
    assert all(account.before == account.after for account in again.values())


def test_a_dry_run_tells_the_same_and_touches_nothing(old: Path):
    before = there(old)
    told = maintained(old, is_dry=True)[SCORING_LEDGER.full_name]
    assert there(old) == before
    done = maintained(old)[SCORING_LEDGER.full_name]
    assert told.kept == done.kept
    assert told.after.on_disk == done.after.on_disk
    assert told.after.log == done.after.log - 2  # it has written a checkpoint and a checksum


def test_young_versions_stay_though_nobody_needs_them(root: Path):
    batches(root, 120)
    maintained(root)
    assert batches_at(root, 3) == [0, 1, 2]


def test_tables_written_from_the_driver_are_gathered_and_get_a_checkpoint(root: Path):
    for number in range(49):
        append(root, SCORING_COST, batch_id=number)
    assert maintained(root)[SCORING_COST.full_name].after.files == 49
    append(root, SCORING_COST, batch_id=49)
    account = maintained(root)[SCORING_COST.full_name]
    assert account.after.files == 1
    path = path_of(root, SCORING_COST)
    newest = DeltaTable(path)
    assert len(newest.to_pyarrow_table()) == 50
    commit = Path(path, "_delta_log", f"{newest.version():020d}.json").read_text()
    files = [json.loads(line) for line in commit.splitlines()]
    changes = [f[kind]["dataChange"] for f in files for kind in ("add", "remove") if kind in f]
    assert changes == [False] * 51  # a stream passes it over
    assert Path(path, "_delta_log", f"{newest.version():020d}.crc").exists()  # Spark opens by it
    assert Log.of(path).base(newest.version())


def test_small_files_of_two_partitions_stay_apart(root: Path):
    for number in range(60):
        append(root, WINDOW_FACTS, window_date=dt.date(2024, 1, 1 + number % 30))
    assert maintained(root)[WINDOW_FACTS.full_name].after.files == 60
    for _ in range(50):
        append(root, WINDOW_FACTS, window_date=dt.date(2024, 1, 1))
    account = maintained(root)[WINDOW_FACTS.full_name]
    assert account.after.files == 31  # 1 January has more than a file holds
    assert len(DeltaTable(path_of(root, WINDOW_FACTS)).to_pyarrow_table()) == 110


def test_of_a_table_that_is_being_written_old_versions_go_and_files_stay_apart(old: Path):
    batches(old, 45, first=251)
    before = len(DeltaTable(path_of(old, SCORING_LEDGER)).file_uris())
    with exclusive(str(old), SCORING_LEDGER.full_name):
        account = maintained(old)[SCORING_LEDGER.full_name]
    [note] = account.notes
    assert note.startswith("not gathered: silver.scoring_ledger of")
    assert account.after.files == before
    assert account.after.log < account.before.log


def test_where_a_commit_was_lost_nothing_is_removed(old: Path):
    (Path(path_of(old, SCORING_LEDGER), "_delta_log") / f"{226:020d}.json").unlink()
    before = there(old)
    with pytest.raises(StoreError, match=r"silver\.scoring_ledger: its log lacks version 226"):
        maintained(old)
    assert there(old) == before


def test_what_a_running_job_may_be_reading_stays(root: Path):
    batches(root, 120)
    aged(root, days=60)
    began_at = dt.datetime.now(dt.UTC) - 50 * DAY
    batches(root, 60, first=120)
    aged(root, days=40)
    batches(root, 60, first=180)
    mark = marks.Mark(str(root), Process("id", "retrain_and_promote", "here", "0", began_at))
    account = maintained(root)[SCORING_LEDGER.full_name]
    assert account.kept.because == "the job retrain_and_promote, which runs"
    assert batches_at(root, account.kept.first)
    mark.remove()
    assert maintained(root)[SCORING_LEDGER.full_name].kept.first > account.kept.first


def test_delta_itself_drops_no_commit(root: Path):
    batches(root, 60)
    aged(root)
    batches(root, 60, first=60)  # with a checkpoint, at which delta-rs would drop old commits
    assert Log.of(path_of(root, SCORING_LEDGER)).base(1) == 0


def test_a_checkpoint_does_not_name_all_files_that_were_ever_removed(root: Path):
    path = path_of(root, SCORING_LEDGER)
    # as an hour later
    DeltaTable(path).alter.set_table_properties(
        {"delta.deletedFileRetentionDuration": "interval 0 hours"}
    )
    batches(root, 120)
    DeltaTable(path).create_checkpoint()
    newest = max(Path(path, "_delta_log").glob("*.checkpoint.parquet"))
    named = pq.read_table(newest, columns=["remove"])["remove"]
    assert named.null_count == len(named)
    for table in CATALOG.tables:
        kept_for = table.properties["delta.deletedFileRetentionDuration"]
        assert kept_for == "interval 1 hours"


def test_tables_of_an_older_release_learn_to_keep_their_log(root: Path):
    path = path_of(root, SCORING_LEDGER)
    name = "delta.enableExpiredLogCleanup"
    DeltaTable(path).alter.set_table_properties({name: "true"})
    maintained(root)
    assert DeltaTable(path).metadata().configuration[name] == "false"


def test_the_job_refuses_to_remove_what_somebody_needs(old: Path):
    before = there(old)
    words = ["--root", str(old), "--keep-days", "1"]
    with pytest.raises(ConfigurationError) as refused:
        job.main(words)
    expected = "silver.scoring_ledger@57 is needed by promotion/2024-01-01/promote/5; nothing was"
    assert expected in str(refused.value)
    assert there(old) == before


def test_the_job_says_what_it_did(old: Path, capsys: pytest.CaptureFixture[str]):
    assert job.main(["--root", str(old), "--dry-run"]) == 0
    assert job.main(["--root", str(old)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert any(line.startswith("silver.scoring_ledger@234: on disk 234 → ") for line in told)
    assert "  kept: @57 for promotion/2024-01-01/promote/5" in told
    assert "files would be removed" in " ".join(told)
    assert "files were removed" in told[-1]
    with pytest.raises(ConfigurationError, match="write a number of days"):
        job.main(["--root", str(old), "--keep-days", "-1"])


def test_two_at_once_are_one(root: Path):
    with exclusive(str(root), "work-maintain"), pytest.raises(LockedError):
        job.main(["--root", str(root)])


def test_where_no_lakehouse_is_a_sentence_says_so(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="there is no lakehouse"):
        maintained(tmp_path)


def test_a_line_names_the_newest_of_many_versions(old: Path):
    for number, version in enumerate([20, 21, 58, 59]):
        promoted(old, number, version)
    lines = as_lines(list(maintained(old).values()), is_dry=False)
    [kept] = [line for line in lines if line.startswith("  kept: @59")]
    assert kept.endswith("@57 for promotion/2024-01-01/promote/5; and 2 older versions")
