"""The disk is full in the middle of a write: one sentence, and the next run goes on where it stopped."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import DiskFullError, LakehouseError, StoreError
from lakehouse.ingest.account import account
from lakehouse.ingest.pipeline import ingest
from lakehouse.storage.faults import as_told
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from tests.support.small_model import land_lines, readings, small_lakehouse

SPACE = 8 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SPACE}", "tmpfs", str(disk)]
    if (
        os.geteuid() != 0
        or not shutil.which("mount")
        or subprocess.run(mount, check=False).returncode
    ):
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def free(disk: Path) -> int:
    state = os.statvfs(disk)
    return state.f_bavail * state.f_frsize


def fill(disk: Path, left: int) -> Path:
    """Fill the disk but for so many bytes; return the file that does so."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(max(0, free(disk) - left)))
    return ballast


def test_ingest_goes_on_where_a_full_disk_has_stopped_it(
    spark: SparkSession, small_disk: Path
) -> None:
    lakehouse = small_lakehouse(spark, small_disk / "lake")
    land_lines(
        lakehouse,
        "a",
        [*readings(range(50)), {**readings([50])[0], "x": "far"}, *readings([0])],
        [],
    )
    stopped = []
    # Each time, the disk is full a few files later.
    for pages in (0, 3, 8, 16):
        ballast = fill(small_disk, pages * 4096)
        try:
            ingest(lakehouse, AVAILABLE_NOW)
        except Exception as error:
            stopped.append(as_told(error))
        ballast.unlink()
        lakehouse = reopened(spark, lakehouse)
    assert stopped
    assert {type(each) for each in stopped} == {DiskFullError}
    ingest(lakehouse, AVAILABLE_NOW)
    [found, _] = account(lakehouse)
    assert found.balances
    assert found.places == {"silver": 50, "quarantined": 1, "duplicate": 1}


def reopened(spark: SparkSession, lakehouse: Lakehouse) -> Lakehouse:
    return small_lakehouse(spark, Path(lakehouse.store.root))


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (OSError(errno.ENOSPC, "x"), DiskFullError, "the disk is full; free space .* run the job"),
        (OSError(errno.EDQUOT, "x"), DiskFullError, "the disk is full"),
        (
            RuntimeError("(sqlite3.OperationalError) database or disk is full"),
            DiskFullError,
            "full",
        ),
        (RuntimeError("java.io.IOException: No space left on device"), DiskFullError, "full"),
        (
            RuntimeError("[DELTA_MISSING_FILES_UNEXPECTED_VERSION] The stream from your table"),
            StoreError,
            "commits that a stream or a reader needs are gone",
        ),
        (
            RuntimeError(
                "[FAILED_READ_FILE.FILE_NOT_EXIST] file:/r/silver/reading/part-0-a.parquet"
            ),
            StoreError,
            r"the data file silver/reading/part-0-a\.parquet is gone; put it back from a copy",
        ),
        (
            RuntimeError(
                "/r/silver/reading/part-0-a.parquet is not a Parquet file. Expected magic"
            ),
            StoreError,
            r"the data file silver/reading/part-0-a\.parquet is damaged",
        ),
    ],
)
def test_faults_of_the_storage_are_told_in_a_sentence_with_what_to_do(
    error: Exception, kind: type[LakehouseError], says: str
) -> None:
    error.add_note("micro-batch 3 of the stream score")
    told = as_told(error)
    assert type(told) is kind
    with pytest.raises(kind, match=says):
        raise told
    assert told.__notes__ == ["micro-batch 3 of the stream score"]
    try:
        raise ValueError("7") from error
    except ValueError as outer:
        assert type(as_told(outer)) is kind


@pytest.mark.parametrize("error", [ValueError("7"), KeyboardInterrupt(), StoreError("no rows")])
def test_other_errors_are_left_as_they_are(error: BaseException) -> None:
    assert as_told(error) is error
