"""History features against their definition, written slowly: row by row, over all rows."""

import datetime as dt
import math
import random
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.history import lanes
from lakehouse.history.features import history_features
from lakehouse.history.running import RunningHistory
from lakehouse.settings import HistoryFeatureSettings, HistorySettings

START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
SETTINGS = HistorySettings.model_validate(
    {
        "by": "line_id",
        "tables": {
            "maintenance": {
                "key": "job",
                "time": "at",
                "columns": {
                    "job": {"type": "long"},
                    "at": {"type": "timestamp"},
                    "line_id": {"type": "string"},
                    "cost": {"type": "double", "nullable": True},
                },
            },
            "alarm": {
                "key": "job",
                "time": "at",
                "columns": {"job": {"type": "long"}, "at": {"type": "timestamp"}},
            },
        },
        "features": {
            **{
                what: {"what": what, "of": "temp", "over": "30 minutes"}
                for what in ("mean", "min", "max", "first", "last", "slope", "difference")
            },
            "rows": {"what": "count", "over": "30 minutes"},
            "known": {"what": "count", "of": "temp", "over": "1 hour"},
            "since_one": {"what": "seconds_since", "over": "1 hour"},
            "since_maintenance": {
                "what": "seconds_since",
                "table": "maintenance",
                "over": "1 hour",
            },
            "cost": {"what": "mean", "of": "cost", "table": "maintenance", "over": "2 hours"},
            "since_alarm": {"what": "seconds_since", "table": "alarm", "over": "2 hours"},
        },
    }
)
Row = dict[str, Any]


@pytest.fixture(autouse=True, params=[2, 5, lanes.BLOCK], ids="blocks of {}".format)
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows fill several blocks."""
    monkeypatch.setattr(lanes, "BLOCK", request.param)


def of_readings(chance: random.Random, n: int) -> list[Row]:
    """Readings that come late, at equal times, without a value and with NaN, in many files."""
    return [
        {
            "at": START + chance.randrange(90) * MINUTE,
            "line_id": chance.choice("abc"),
            "temp": chance.choice([None, math.nan, *(chance.gauss(350, 1e-3) for _ in range(6))]),
            "landed_file_id": 1 + place // 7,
            "line": place % 7,
        }
        for place in range(n)
    ]


def of_table(chance: random.Random, n: int, first_file: int) -> list[Row]:
    return [
        {
            "at": START + chance.randrange(90) * MINUTE,
            "line_id": chance.choice("abc"),
            "cost": chance.choice([None, chance.uniform(0, 100)]),
            "landed_file_id": first_file + 3 * place,
            "line": 0,
        }
        for place in range(n)
    ]


def as_arrow(rows: Sequence[Row], *names: str) -> pa.Table:
    kinds = {
        "at": pa.timestamp("us", "UTC"),
        "line_id": pa.string(),
        "temp": pa.float64(),
        "cost": pa.float64(),
        "landed_file_id": pa.int64(),
        "line": pa.int64(),
    }
    schema = pa.schema([(name, kinds[name]) for name in names])
    return pa.Table.from_pylist([{name: row[name] for name in names} for row in rows], schema)


def readings(rows: Sequence[Row]) -> pa.Table:
    return as_arrow(rows, "at", "line_id", "temp", "landed_file_id", "line")


def tables_of(maintenance: Sequence[Row], alarms: Sequence[Row]) -> dict[str, pa.Table]:
    return {
        "maintenance": as_arrow(maintenance, "at", "line_id", "cost", "landed_file_id", "line"),
        "alarm": as_arrow(alarms, "at", "landed_file_id", "line"),
    }


def landed(row: Row) -> tuple[int, int]:
    return row["landed_file_id"], row["line"]


def by_definition(row: Row, rows: Mapping[str | None, Sequence[Row]], name: str) -> float | None:
    """A feature of a row, from all rows of all tables."""
    feature = SETTINGS.features[name]
    before = [
        other
        for other in rows[feature.table]
        if row["at"] - feature.over < other["at"] < row["at"]
        and landed(other) < landed(row)
        and (feature.table == "alarm" or other["line_id"] == row["line_id"])
    ]
    before.sort(key=lambda other: (other["at"], landed(other)))
    if feature.of is not None:
        before = [each for each in before if each[feature.of] == each[feature.of] is not None]
    return figure_by_definition(feature, row, before)


def figure_by_definition(
    feature: HistoryFeatureSettings, row: Row, before: Sequence[Row]
) -> float | None:
    values = [each[feature.of] for each in before] if feature.of is not None else []
    if feature.what == "count":
        return float(len(before))
    if not before:
        return None
    own = row["temp"] if row["temp"] == row["temp"] else None
    figures: dict[str, Callable[[], float | None]] = {
        "mean": lambda: float(sum(map(Fraction, values))) / len(values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "first": lambda: values[0],
        "last": lambda: values[-1],
        "difference": lambda: None if own is None else own - values[-1],
        "seconds_since": (row["at"] - before[-1]["at"]).total_seconds,
        "slope": lambda: slope_by_definition(row, before, values),
    }
    return figures[feature.what]()


def slope_by_definition(row: Row, before: Sequence[Row], values: Sequence[float]) -> float | None:
    seconds = [(each["at"] - row["at"]).total_seconds() for each in before]
    return None if len(set(seconds)) < 2 else float(np.polyfit(seconds, values, 1)[0])


@pytest.mark.parametrize("seed", range(4))
def test_features_are_those_of_their_slow_definition(seed: int) -> None:
    chance = random.Random(seed)
    made = of_readings(chance, 240)
    maintenance, alarms = of_table(chance, 8, 2), of_table(chance, 5, 1)
    rows = {None: made, "maintenance": maintenance, "alarm": alarms}
    cut = chance.randrange(240)
    found = history_features(
        readings(made[cut:]),
        readings(made[:cut]),
        tables_of(maintenance, alarms),
        SETTINGS,
        "at",
    )
    for name in SETTINGS.features:
        expected = [by_definition(row, rows, name) for row in made[cut:]]
        if name == "slope":
            assert [each is None for each in found[name].to_pylist()] == [
                each is None for each in expected
            ]
            known = [
                pair for pair in zip(found[name].to_pylist(), expected, strict=True) if pair[1]
            ]
            own, theirs = np.array(known).reshape(-1, 2).T
            assert np.allclose(own, theirs, rtol=1e-3, atol=1e-9)
        else:
            assert found[name].to_pylist() == expected, name


def features_in_batches(
    made: Sequence[Row], tables: Mapping[str, pa.Table], cuts: Sequence[int]
) -> list[dict[str, float | None]]:
    found: list[dict[str, float | None]] = []
    for start, end in zip([0, *cuts], [*cuts, len(made)], strict=True):
        # What a table has in any order, and more of it than a batch may see.
        earlier = random.Random(end).sample(made[:start], start)
        batch = history_features(
            readings(made[start:end]), readings(earlier), tables, SETTINGS, "at"
        )
        found += pa.table(batch).to_pylist()
    return found


def test_neither_batches_nor_order_nor_the_engine_change_a_bit() -> None:
    chance = random.Random(7)
    made = of_readings(chance, 300)
    maintenance, alarms = of_table(chance, 9, 2), of_table(chance, 6, 1)
    tables = tables_of(maintenance, alarms)
    at_once = features_in_batches(made, tables, [])
    for cuts in ([150], [1, 2, 3, 140], list(range(7, 300, 7))):
        assert features_in_batches(made, tables, cuts) == at_once
    assert row_by_row(made, maintenance, alarms) == at_once


def row_by_row(
    made: Sequence[Row], maintenance: Sequence[Row], alarms: Sequence[Row]
) -> list[dict[str, float | None]]:
    """As an endpoint computes them, which forgets what is older than two spans."""
    running = RunningHistory(SETTINGS)
    running._keeps = dict.fromkeys(running._keeps, 10**12)  # rows come up to 90 minutes late here
    others = [("maintenance", row) for row in maintenance] + [("alarm", row) for row in alarms]
    waiting = sorted(others, key=lambda pair: landed(pair[1]))
    found = []
    for row in made:
        while waiting and landed(waiting[0][1]) < landed(row):
            table, other = waiting.pop(0)
            running.add(table, other["line_id"], micros(other["at"]), other)
        at, group = micros(row["at"]), row["line_id"]
        found.append(running.features(group, at, row))
        running.add(None, group, at, row)
    return found


def micros(moment: dt.datetime) -> int:
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def test_a_row_sees_what_had_landed_and_happened_before_it() -> None:
    settings = HistorySettings.model_validate(
        {"features": {"rows": {"what": "count", "over": "10 minutes"}}}
    )

    def row(minute: int, file: int, line: int) -> Row:
        at = START + minute * MINUTE
        return {"at": at, "landed_file_id": file, "line": line}

    made = [
        row(0, 1, 0),
        row(10, 1, 1),  # just beyond the span of the first
        row(5, 2, 0),  # late: the row at minute 10 landed before it, but happened after it
        row(10, 2, 1),  # sees the late one; not the row of its own moment
        row(4, 2, 2),  # later still: nobody above sees it
        row(11, 3, 0),
    ]
    found = history_features(
        as_arrow(made, "at", "landed_file_id", "line"),
        as_arrow([], "at", "landed_file_id", "line"),
        {},
        settings,
        "at",
    )
    assert found["rows"].to_pylist() == [0.0, 0.0, 1.0, 1.0, 1.0, 4.0]


def test_sums_that_overflow_and_lines_without_a_slope_tell_nothing() -> None:
    settings = HistorySettings.model_validate(
        {
            "features": {
                what: {"what": what, "of": "temp", "over": "1 hour"}
                for what in ("mean", "slope", "difference")
            }
        }
    )
    made = [
        {"at": START + minute * MINUTE, "temp": temp, "landed_file_id": 1, "line": line}
        for line, (minute, temp) in enumerate([(0, 1.7e308), (0, 1.7e308), (1, -1.7e308)])
    ]
    rows = as_arrow(made, "at", "temp", "landed_file_id", "line")
    found = history_features(rows, rows.slice(0, 0), {}, settings, "at")
    assert found["mean"].to_pylist() == [None, None, None]
    assert found["slope"].to_pylist() == [None, None, None]
    assert found["difference"].to_pylist() == [None, None, None]


def test_an_endpoint_forgets_what_no_row_in_time_can_see() -> None:
    settings = HistorySettings.model_validate(
        {"features": {"rows": {"what": "count", "over": "10 minutes"}}}
    )
    running = RunningHistory(settings)
    for minute in range(1000):
        running.add(None, None, micros(START + minute * MINUTE), {})
    (lane,) = running._lanes.values()
    assert len(lane) == 21
    at = micros(START + 1000 * MINUTE)
    assert running.features(None, at, {}) == {"rows": 9.0}
