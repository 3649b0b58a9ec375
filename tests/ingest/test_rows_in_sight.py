"""What is kept of silver between micro-batches changes no feature, whatever comes or is lost."""

import copy
import datetime as dt
import random
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import dataset

from lakehouse.history.features import history_features
from lakehouse.ingest.history import RowsInSight
from lakehouse.instants import ARROW_MOMENT
from lakehouse.settings import ModelSettings
from lakehouse.tables import Table, catalog_of
from tests.support.furnace import history
from tests.support.served import GLASSWARE, START

Row = dict[str, Any]
READING = pa.schema(
    [
        ("pid", pa.int64()),
        ("process_time", ARROW_MOMENT),
        ("temp", pa.float64()),
        ("landed_file_id", pa.int64()),
        ("line", pa.int64()),
    ]
)
JOB = pa.schema([("ended_at", ARROW_MOMENT), ("landed_file_id", pa.int64()), ("line", pa.int64())])


def settings() -> ModelSettings:
    content = copy.deepcopy(GLASSWARE)
    content["history"] = history("5 hours")
    content["history"]["features"]["last_temp"] = {
        "what": "last",
        "of": "temp",
        "over": "90 minutes",
    }
    content["predictions"]["features"] += list(content["history"]["features"])
    return ModelSettings.model_validate(content)


MODEL = settings()


class Silver:
    """A store of two tables in memory, which counts the readings that are read."""

    def __init__(self) -> None:
        self.catalog = catalog_of(MODEL)
        self.readings: list[Row] = []
        self.jobs: list[Row] = []
        self.read: list[int] = []

    def arrow(self, table: Table, where: Any, columns: list[str]) -> pa.Table:
        is_readings = table == self.catalog.readings
        rows = self.all_readings if is_readings else self.all_jobs
        found = dataset.dataset(rows).to_table(columns, where)
        if is_readings:
            self.read.append(len(found))
        return found

    @property
    def all_readings(self) -> pa.Table:
        return pa.Table.from_pylist(self.readings, READING)

    @property
    def all_jobs(self) -> pa.Table:
        return pa.Table.from_pylist(self.jobs, JOB)


def reading(chance: random.Random, number: int) -> Row:
    """One a minute, ten in a file; of ten, one is late, and few are late by more than is kept."""
    late = chance.choices([0, 30, 100, 700], [0.9, 0.06, 0.03, 0.01])[0]
    return {
        "pid": number,
        "process_time": START + dt.timedelta(minutes=max(0, number - late)),
        "temp": chance.choice([None, *(chance.gauss(350, 1) for _ in range(9))]),
        "landed_file_id": 2 * (number // 10),
        "line": number % 10,
    }


def job(number: int) -> Row:
    """One in forty minutes, in a file of its own between those of readings."""
    ended_at = START + dt.timedelta(minutes=40 * number)
    return {"ended_at": ended_at, "landed_file_id": 8 * number + 1, "line": 1}


def features(in_sight: RowsInSight, batch: list[Row]) -> list[Row]:
    return pa.table(in_sight.features(pa.Table.from_pylist(batch, READING))).to_pylist()


def expected(silver: Silver, batch: list[Row]) -> list[Row]:
    """By the definition, of all rows of silver."""
    rows, jobs = pa.Table.from_pylist(batch, READING), {"maintenance": silver.all_jobs}
    time = MODEL.event_time
    found = history_features(rows, silver.all_readings, jobs, MODEL.history, time)
    return pa.table(found).to_pylist()


@pytest.mark.parametrize("seed", range(8))
def test_rows_that_are_kept_tell_what_all_rows_of_silver_tell(seed: int) -> None:
    chance, silver = random.Random(seed), Silver()
    in_sight: Any = RowsInSight(silver, MODEL)  # type: ignore[arg-type]
    waiting = [reading(chance, number) for number in range(1_500)]
    left_out: list[Row] = []
    while waiting:
        batch = [waiting.pop(0) for _ in range(min(len(waiting), chance.randrange(1, 30)))]
        if chance.random() < 0.2:
            # Lines of an earlier batch are taken up again, beside later ones or alone.
            batch, left_out = [*left_out, *(batch if chance.random() < 0.5 else [])] or batch, []
        # What a reading may see is in silver before it, and more than that.
        minute = max(each["pid"] for each in batch) + chance.randrange(60)
        silver.jobs += [job(number) for number in range(len(silver.jobs), minute // 40)]
        assert features(in_sight, batch) == expected(silver, batch)
        if chance.random() < 0.2:
            left_out += batch  # the batch fails: its rows are not in silver
        else:
            silver.readings += batch


def test_a_micro_batch_reads_no_more_than_the_newest_file_again() -> None:
    chance, silver = random.Random(0), Silver()
    in_sight: Any = RowsInSight(silver, MODEL)  # type: ignore[arg-type]
    silver.jobs = [job(number) for number in range(30)]  # most of them land later
    for first in range(0, 900, 20):
        batch = [
            reading(chance, number) | {"process_time": START + dt.timedelta(minutes=number)}
            for number in range(first, first + 20)
        ]
        assert features(in_sight, batch) == expected(silver, batch)
        silver.readings += batch
    # Of the last batch its two files, and of the one before it the newest one.
    assert silver.read == [0, 20, *[30] * 43]
    kept = {len(lane) for lane in in_sight._running._lanes.values()}
    assert max(kept) <= 2 * 5 * 60 + 20  # two of the longest spans
