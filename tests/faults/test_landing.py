"""Landing: a file that is finished later, a line beyond all bounds, very many files at once."""

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.ingest.account import account, files_account
from lakehouse.ingest.landing.inspection import inspect
from lakehouse.ingest.landing.reading import blocks_of
from lakehouse.ingest.pipeline import ingest
from lakehouse.ingest.validation import LONGEST_LINE
from lakehouse.storage.folders import Folder
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from tests.support.rows import moment
from tests.support.small_model import readings, small_lakehouse

LANDED = moment("2024-03-05T00:00:00").timestamp()
HUNDRED_MEGABYTES = 100 * 2**20


@pytest.fixture
def lakehouse(spark: SparkSession, tmp_path: Path) -> Lakehouse:
    return small_lakehouse(spark, tmp_path / "lake")


def lines_of(*numbers: int) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in readings(numbers))


def put(lakehouse: Lakehouse, name: str, content: bytes) -> None:
    path = Path(lakehouse.landing) / "reading" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (LANDED, LANDED))


def ids(lakehouse: Lakehouse) -> list[int]:
    rows = lakehouse.store.rows(lakehouse.catalog.readings, columns=["id"])
    return sorted(row["id"] for row in rows)


def test_a_file_that_is_half_written_and_then_completed_loses_no_line_and_gives_none_twice(
    lakehouse: Lakehouse,
) -> None:
    whole = lines_of(*range(10))
    put(lakehouse, "a.jsonl", whole[: len(whole) // 2])
    ingest(lakehouse, AVAILABLE_NOW)
    put(lakehouse, "a.jsonl", whole)
    ingest(lakehouse, AVAILABLE_NOW)
    assert ids(lakehouse) == [*range(10)]
    [found, _] = account(lakehouse)
    n_before = whole[: len(whole) // 2].count(b"\n")
    # What came of the torn line is in quarantine, and the lines before it were said twice.
    assert found.places == {"silver": 10, "quarantined": 1, "duplicate": n_before}
    assert found.balances


def test_a_line_of_a_hundred_megabytes_is_cut_and_takes_the_memory_of_a_short_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines_of(0) + b"x" * HUNDRED_MEGABYTES + b"\n" + lines_of(1))
    tracemalloc.start()
    try:
        [part, *more] = inspect(Folder(str(tmp_path)), "a.jsonl").parts
        lengths = [
            len(line)
            for piece in (part, *more)
            for block in blocks_of(Folder(str(tmp_path)), "a.jsonl", piece)
            for line in block
        ]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lengths == [len(lines_of(0)) - 1, LONGEST_LINE + 1, len(lines_of(1)) - 1]
    assert peak < 4 * LONGEST_LINE


def test_such_a_line_costs_itself_alone(lakehouse: Lakehouse) -> None:
    put(lakehouse, "a.jsonl", lines_of(0) + b"x" * HUNDRED_MEGABYTES + b"\n" + lines_of(1))
    ingest(lakehouse, AVAILABLE_NOW)
    assert ids(lakehouse) == [0, 1]
    [found, _] = account(lakehouse)
    assert found.places == {"silver": 2, "quarantined": 1, "duplicate": 0}


def test_five_hundred_files_at_once_are_one_batch_and_none_is_left(lakehouse: Lakehouse) -> None:
    for number in range(500):
        put(lakehouse, f"{number}.jsonl", lines_of(number))
    ingest(lakehouse, AVAILABLE_NOW)
    assert ids(lakehouse) == [*range(500)]
    assert lakehouse.store.version(lakehouse.catalog.bronze_readings) == 1
    assert files_account(lakehouse)[0].read == 500
