"""A hundred thousand broken lines: each is accounted for, and none is half read.

What is right is told by Python's own `json` alone, which the engine does not read lines with.
"""

import json
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.app.opening import open_lakehouse
from lakehouse.ingest.account import account
from lakehouse.ingest.parsing import BlockParser
from lakehouse.ingest.pipeline import ingest
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.queries import AVAILABLE_NOW
from tests.ingest.test_parsing import COLUMNS, GOOD, LANDED, assert_same, rules
from tests.support.broken_lines import broken_lines
from tests.support.rows import land, moment

_BLOCK = 1_000
_TYPES: dict[str, tuple[type, ...]] = {
    "double": (float, int),
    "long": (float, int),
    "integer": (float, int),
    "boolean": (bool, int, float),
    "string": (str,),
    "timestamp": (str,),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_each_of_ten_thousand_broken_lines_is_whole_or_has_its_reasons(seed: int) -> None:
    parser, valid = BlockParser(rules()), 0
    lines = list(broken_lines(GOOD, 10_000, seed))
    for start in range(0, len(lines), _BLOCK):
        block = lines[start : start + _BLOCK]
        landed = pa.array([LANDED] * len(block), pa.timestamp("us", "UTC"))
        parsed = parser.parse(block, landed)
        reasons = parsed.reasons.to_pylist()
        columns = {name: values.to_pylist() for name, values in parsed.columns.items()}
        assert len(reasons) == len(block)
        for place, line in enumerate(block):
            if not reasons[place]:
                valid += 1
                _assert_whole(line, {name: values[place] for name, values in columns.items()})
    assert 1_000 < valid < 9_000


@pytest.mark.slow
def test_broken_lines_come_to_the_same_whichever_of_the_two_readers_has_them() -> None:
    lines = list(broken_lines(GOOD, 20_000, 99))
    for start in range(0, len(lines), _BLOCK):
        assert_same(lines[start : start + _BLOCK])


def _assert_whole(line: bytes, row: dict[str, Any]) -> None:
    """A valid row says what its line says, and is null only where the line says so."""
    said = json.loads(line.decode("utf-8"))
    for name, column in COLUMNS.items():
        given: Any = said
        for part in column.field or (name,):
            given = given.get(part) if isinstance(given, dict) else None
        value = row[name]
        assert (value is None) == (given is None), (name, line)
        assert value is not None or column.nullable, (name, line)
        if value is not None:
            assert isinstance(given, _TYPES[column.type]), (name, line)
        if value is not None and column.type != "timestamp":
            assert value == (float(given) if column.type == "double" else given), (name, line)


def test_every_broken_line_of_a_landed_file_is_in_one_place(
    spark: SparkSession, tmp_path: Any
) -> None:
    model = load_model_settings("conf/glassware.yaml")
    environment = EnvironmentSettings(
        root=str(tmp_path / "lakehouse"), landing=str(tmp_path / "landing")
    )
    lakehouse = open_lakehouse(spark, model, environment)
    reading = {"pid": 7, "process_time": "2019-07-01T01:00:00Z"}
    reading |= {"temp": 354.5, "pressure": 12.5, "duration": 30.5}
    label = {"pid": 7, "qualitycheck_time": "2019-07-01T02:00:00Z", "quality": 1}
    for source, good in (("sensor_reading", reading), ("quality_check", label)):
        path = land(tmp_path / "landing" / source, "broken", [], moment("2019-07-02"))
        path.write_bytes(b"".join(line + b"\n" for line in broken_lines(good, 3_000, 5)))
    ingest(lakehouse, AVAILABLE_NOW)
    for each in account(lakehouse):
        assert each.balances, str(each)
        assert each.lines == 3_000
        assert all(each.places.values()), "each place has some"
