"""Features of earlier rows at an endpoint: from silver, from its own answers, or as a caller says."""

import asyncio
import copy
import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from lakehouse.serving import earlier_rows
from lakehouse.serving.earlier_rows import EarlierRows
from lakehouse.serving.refusals import RefusedRequestError
from lakehouse.serving.rows import RowRules
from lakehouse.serving.served_lines import ServedLines
from lakehouse.settings import ModelSettings
from lakehouse.storage.plain_tables import append_rows, read_at
from lakehouse.tables import Table, catalog_of
from tests.support import plain_delta
from tests.support.furnace import history
from tests.support.served import GLASSWARE, START, Works, fitted

FEATURES = ("temp_mean_1h", "since_maintenance")


def settings() -> ModelSettings:
    content = copy.deepcopy(GLASSWARE)
    content["history"] = history("2 days")
    content["predictions"]["features"] += FEATURES
    return ModelSettings.model_validate(content)


MODEL = settings()


def made_at(minute: int) -> dt.datetime:
    return START + dt.timedelta(minutes=minute)


def reading(pid: int, minute: int, **given: Any) -> dict[str, Any]:
    return {
        "pid": pid,
        "process_time": made_at(minute).isoformat(),
        "temp": 350 + pid / 7,
        "pressure": 12.0,
        "duration": 30.0,
    } | given


def in_silver(pids: list[int], file: int) -> list[dict[str, Any]]:
    """Readings, one in ten minutes."""
    return [
        reading(pid, 10 * pid)
        | {"process_time": made_at(10 * pid), "landed_file_id": file, "line": place}
        for place, pid in enumerate(pids)
    ]


def appended(root: Path, pids: list[int], file: int) -> None:
    append_rows(str(root), catalog_of(MODEL).readings, in_silver(pids, file))


def written(root: Path, pids: list[int]) -> None:
    """Silver's readings and two maintenances."""
    rows = in_silver(pids, file=2)
    jobs = [
        {"job": job, "ended_at": made_at(minute), "landed_file_id": 1, "line": job}
        for job, minute in ((1, 5), (2, 12))
    ]
    (maintenance,) = catalog_of(MODEL).history
    for table, given in ((catalog_of(MODEL).readings, rows), (maintenance, jobs)):
        if not (root / table.layer / table.name).exists():
            plain_delta.create(root, table)
        plain_delta.replace_rows(root, table, given)


@pytest.fixture
def works(tmp_path: Path) -> Works:
    works = Works(tmp_path / "lake", MODEL)
    written(works.root, [1, 2, 3])
    frame = pd.DataFrame({name: [350.0, 358.0] * 9 for name in MODEL.predictions.features})
    works.promote(1, fitted(MODEL, 355.0, rows=frame))
    return works


def filled(
    earlier: EarlierRows, *rows: dict[str, Any], asked: int = 24 * 60
) -> list[tuple[Any, ...]]:
    at = made_at(asked)
    found = earlier.filled(RowRules(MODEL).read(rows, at), at)
    return [tuple(row.values[name] for name in FEATURES) for row in found]


def test_a_row_sees_what_is_in_silver_and_what_was_asked_before_it(works: Works) -> None:
    earlier = EarlierRows(str(works.root), MODEL)
    earlier.look()
    temp = {pid: 350 + pid / 7 for pid in range(9)}
    of_silver = (temp[1] + temp[2] + temp[3]) / 3
    first = (pytest.approx(of_silver, rel=1e-15), 23 * 60.0)
    assert filled(earlier, reading(4, 35), reading(4, 35)) == [first, first]
    # The second look finds the row that was answered here in silver, and one of another way.
    written(works.root, [1, 2, 3, 5])
    earlier.look()
    mean = (temp[1] + temp[2] + temp[3] + temp[4] + temp[5]) / 5
    assert filled(earlier, reading(6, 60)) == [(pytest.approx(mean, rel=1e-15), 48 * 60.0)]
    earlier.look()
    assert filled(earlier, reading(7, 61))[0][0] == pytest.approx(
        (temp[1] + temp[2] + temp[3] + temp[4] + temp[5] + temp[6]) / 6, rel=1e-15
    )


def test_a_later_look_reads_no_more_than_what_has_landed_since(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[int]] = []

    def spied(root: str, table: Table, *given: Any) -> pa.Table:
        rows = read_at(root, table, *given)
        if table.name == "sensor_reading":
            read.append(rows["pid"].to_pylist())
        return rows

    monkeypatch.setattr(earlier_rows, "read_at", spied)
    earlier = EarlierRows(str(works.root), MODEL)
    written(works.root, [1, 2, 3])
    earlier.look()
    appended(works.root, [4, 5], file=3)
    earlier.look()
    appended(works.root, [6], file=3)  # two batches have read that file
    earlier.look()
    appended(works.root, [7], file=4)
    earlier.look()
    assert [sorted(pids) for pids in read] == [[1, 2, 3], [1, 2, 3, 4, 5], [4, 5, 6], [4, 5, 6, 7]]
    temps = [350 + pid / 7 for pid in range(2, 8)]
    ((mean, _),) = filled(earlier, reading(8, 71))  # the piece of minute 10 is too old
    assert mean == pytest.approx(sum(temps) / 6, rel=1e-15)


def test_what_a_caller_sends_is_taken_and_a_question_about_now_does_not_land(
    works: Works,
) -> None:
    earlier = EarlierRows(str(works.root), MODEL)
    earlier.look()
    sent = reading(4, 35, temp_mean_1h=351.0, since_maintenance=None)
    assert filled(earlier, sent) == [(351.0, 23 * 60.0)]
    question = {"temp": 350.0, "pressure": 12.0, "duration": 30.0}
    # It is asked a day after: the maintenance of minute 12 was not long ago.
    since = (24 * 60 - 12) * 60.0
    assert filled(earlier, question, question) == [(None, since), (None, since)]
    assert filled(earlier, question, asked=24 * 60 + 1) == [(None, since + 60)]


def test_a_row_that_did_not_land_was_never_there(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(self: ServedLines, lines: bytes, count: int) -> None:
        raise OSError(28, "No space left on device")

    with works.endpoint() as endpoint:
        ask = endpoint.predictor.predict
        monkeypatch.setattr(ServedLines, "append", full_disk)
        with pytest.raises(RefusedRequestError, match="cannot be put on record"):
            asyncio.run(ask([reading(4, 35, temp=999.0)]))
        monkeypatch.undo()
        asyncio.run(ask([reading(5, 40)]))
    (line,) = works.landed()
    expected = (3 * 350 + 6 / 7) / 3
    assert line["_served"]["history"]["temp_mean_1h"] == pytest.approx(expected, rel=1e-12)
