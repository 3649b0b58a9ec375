"""A commit, a checkpoint or a data file that a table's log has lost, or has a part of: no reader goes
on as if it had never been there, though Delta's own readers do.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from lakehouse.errors import StoreError
from lakehouse.scoring.scorer import score
from lakehouse.storage.delta.log_faults import Entry, check_log, fault_of
from lakehouse.storage.delta.opened import open_table
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.log_check import begin_anew_where_commits_are_lost, check_newest
from lakehouse.storage.plain_tables import read_rows
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.snapshot import Snapshot
from lakehouse.tables import Table
from tests.support.small_model import small_lakehouse
from tests.support.written import forget_newest_commit, write_readings

HOUR, MONTH = 3600.0, 30 * 24 * 3600.0


def log_of(table: Path) -> Path:
    return table / "_delta_log"


def commit(table: Path, version: int) -> Path:
    return log_of(table) / f"{version:020d}.json"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of five commits, with a checkpoint behind the third."""
    path = tmp_path / "t"
    for number in range(5):
        write_deltalake(path, pa.table({"i": [number]}), mode="append")
        if number == 2:
            DeltaTable(path).create_checkpoint()
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (lambda table: commit(table, 3).unlink(), "the commit of version 3 is missing"),
    (lambda table: commit(table, 1).unlink(), "the commit of version 1 is missing"),
    (lambda table: commit(table, 4).write_text(""), "the commit of version 4 is empty"),
    (lambda table: commit(table, 3).write_text(""), "the commit of version 3 is empty"),
    (
        lambda table: shutil.rmtree(log_of(table)),
        "all commits are missing, though data files are there,",
    ),
    (lambda table: cut(commit(table, 4)), "the commit of version 4 is cut short"),
    (
        lambda table: (log_of(table) / f"{2:020d}.checkpoint.parquet").unlink(),
        "the checkpoint of version 2, which `_last_checkpoint` names, is missing",
    ),
    (
        lambda table: (log_of(table) / f"{2:020d}.checkpoint.parquet").write_text(""),
        "the checkpoint of version 2 is empty",
    ),
]


@pytest.mark.parametrize(("fault", "says"), FAULTS, ids=[says for _, says in FAULTS])
def test_a_damaged_log_is_one_sentence_that_names_table_version_and_remedy(
    table: Path, fault: Callable[[Path], object], says: str
) -> None:
    fault(table)
    words = rf"^silver\.t: {re.escape(says)} in .*_delta_log; nothing was read .* back from a copy"
    with pytest.raises(StoreError, match=words):
        check_log(str(table), "silver.t")
    with pytest.raises(StoreError, match=words):
        open_table(str(table), "silver.t", 4)


@pytest.mark.parametrize(("fault", "says"), FAULTS, ids=[says for _, says in FAULTS])
def test_the_newest_version_opens_only_where_nothing_that_it_is_read_from_is_damaged(
    table: Path, fault: Callable[[Path], object], says: str
) -> None:
    fault(table)
    if says == "the commit of version 1 is missing":  # the checkpoint of version 2 stands for it
        assert open_table(str(table), "silver.t").to_pyarrow_table().num_rows == 5
        return
    with pytest.raises(StoreError, match=re.escape(says)):
        open_table(str(table), "silver.t")


def test_a_whole_log_and_one_of_no_table_are_opened_and_an_old_hint_does_not_matter(
    table: Path, tmp_path: Path
) -> None:
    check_log(str(tmp_path / "none"), "silver.none")
    assert open_table(str(table), "silver.t").version() == 4
    (log_of(table) / "_last_checkpoint").write_text("")
    assert open_table(str(table), "silver.t").version() == 4


def entries(*versions: int, checkpoint: int | None = None, **at: float) -> dict[str, Entry]:
    """A log of these commits, an hour apart unless told otherwise by `v<version>`."""
    found = {f"{each:020d}.json": Entry(9, at.get(f"v{each}", each * HOUR)) for each in versions}
    if checkpoint is not None:
        found[f"{checkpoint:020d}.checkpoint.parquet"] = Entry(9, 0.0)
    return found


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (entries(), None),
        (entries(0, 1, 2), None),
        (entries(7, 8, checkpoint=7), None),  # cleaned up
        (entries(7, 8, checkpoint=6), None),
        (entries(3, 5, 7, 8, checkpoint=7, v7=MONTH, v8=MONTH), None),  # the clean-up was cut off
        (entries(3, 5, 7, 8, checkpoint=7), "the commit of version 4 is missing"),
        (entries(1, 2), "the commit of version 0 is missing"),
        (entries(7, 8, checkpoint=5), "the commit of version 6 is missing"),
        (entries(0, 1, checkpoint=2), "the commit of version 2 is missing"),
        (entries(0, 1, 3, v0=0, v1=0, v3=MONTH), "the commit of version 2 is missing"),
    ],
)
def test_what_delta_cleans_up_is_not_missed_and_all_else_is(
    log: dict[str, Entry], says: str | None
) -> None:
    assert fault_of(log) == says


@pytest.fixture(scope="module")
def whole(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Three commits of readings; to be copied."""
    lakehouse = small_lakehouse(spark, tmp_path_factory.mktemp("logs") / "lake")
    for number in range(3):
        write_readings(lakehouse, [number])
    return lakehouse


def copied(whole: Lakehouse, folder: Path) -> Path:
    return Path(shutil.copytree(whole.store.root, folder / "lake"))


@pytest.mark.parametrize("layer", ["bronze", "silver", "gold"])
def test_no_job_opens_a_lakehouse_with_a_damaged_log(
    whole: Lakehouse, tmp_path: Path, layer: str
) -> None:
    root = copied(whole, tmp_path)
    table = next(each for each in whole.catalog.tables if each.layer == layer)
    commit(root / layer / table.name, 0).write_text("")
    says = rf"{table.full_name}: the commit of version 0 is empty"
    for reader in (
        lambda: small_lakehouse(whole.spark, root),  # jobs with Spark
        lambda: read_rows(str(root), table),  # those without: alerts, the ledger
        lambda: Snapshot(str(root)).version(table.full_name),  # pages, lineage
    ):
        with pytest.raises(StoreError, match=says):
            reader()


def read_by(lakehouse: Lakehouse, stream: str, table: Table, version: int) -> None:
    """A stream's checkpoint that says it has read the table up to a version."""
    checkpoint = Path(lakehouse.store.checkpoint(stream))
    for kind in ("offsets", "commits"):
        (checkpoint / kind).mkdir(parents=True)
        (checkpoint / kind / "0").write_text("v1\n{}\n")
    (checkpoint / "metadata").write_text('{"id": "q"}')
    offset = {
        "reservoirId": lakehouse.store.table_id(table),
        "reservoirVersion": version + 1,
        "index": -100,
    }
    (checkpoint / "offsets" / "0").write_text(f"v1\n{{}}\n{json.dumps(offset)}")


def test_a_newest_commit_that_a_stream_has_read_is_missed_before_anything_is_written(
    whole: Lakehouse, tmp_path: Path
) -> None:
    root = copied(whole, tmp_path)
    lakehouse = small_lakehouse(whole.spark, root)
    readings, newest = lakehouse.catalog.readings, lakehouse.store.version(whole.catalog.readings)
    read_by(lakehouse, "score", readings, newest)
    check_newest(lakehouse)
    forget_newest_commit(root, readings)
    lakehouse = small_lakehouse(whole.spark, root)
    says = rf"silver\.reading: its newest version is {newest - 1}, though the stream score has read"
    with pytest.raises(StoreError, match=says):
        score(lakehouse, AVAILABLE_NOW)
    begin_anew_where_commits_are_lost(lakehouse)
    check_newest(lakehouse)
    assert [path.name for path in Path(lakehouse.store.checkpoint("")).iterdir()] == [
        "score.damaged-1"
    ]
