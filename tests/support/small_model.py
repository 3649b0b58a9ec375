"""A model of a few fields, whose settings, files and registry tests change from one run to the
next.
"""

import copy
import datetime as dt
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.settings import ModelSettings
from lakehouse.storage.lakehouse import Lakehouse
from tests.support.opened import opened
from tests.support.rows import land, moment

Settings = dict[str, Any]
Line = dict[str, Any]

BEGAN = moment("2024-03-01T00:00:00")
_SETTINGS: Settings = {
    "name": "small",
    "key": "id",
    "event_time": "at",
    "stream": {"began": "2024-03-01T00:00:00Z"},
    "readings": {
        "table": "reading",
        "columns": {
            "id": {"type": "long"},
            "at": {"type": "timestamp"},
            "x": {"type": "double"},
            "z": {"type": "double"},
        },
    },
    "labels": {
        "table": "truth",
        "columns": {
            "id": {"type": "long"},
            "told": {"type": "timestamp"},
            "y": {"type": "string", "values": ["broken", "ok"]},
        },
        "time": "told",
        "label": "y",
        "horizon": "1 day",
    },
    "predictions": {"table": "guess", "features": ["x", "z"]},
    "metrics": {"granularities": ["1 day"], "bins": 5},
    "training": {"first_after": 100, "families": {"decision_tree": {"max_depth": [3]}}},
    "policy": {"price": None},
}


def unchanged(settings: Settings) -> None:
    """Leaves the settings as they are."""


def model_of(change: Callable[[Settings], Any] = unchanged) -> ModelSettings:
    """The settings after a change of them, as YAML would have given them."""
    return ModelSettings.model_validate(settings_of(change))


def settings_of(change: Callable[[Settings], Any] = unchanged) -> Settings:
    """The same as YAML has them."""
    settings = copy.deepcopy(_SETTINGS)
    change(settings)
    return settings


def small_lakehouse(
    spark: SparkSession, root: Path, change: Callable[[Settings], Any] = unchanged
) -> Lakehouse:
    """The lakehouse at the root, opened with the settings after a change of them."""
    return opened(spark, model_of(change), root)


def at(number: int) -> dt.datetime:
    """The event time of a line: one in ten minutes, 144 a day."""
    return BEGAN + dt.timedelta(minutes=10 * number)


def measured(number: int) -> tuple[float, float]:
    """The values of a line's x and z."""
    chance = random.Random(number)
    return chance.uniform(-1, 1), chance.uniform(0, 1)


def readings(numbers: Iterable[int], **more: Any) -> list[Line]:
    """Lines of readings; further fields are values, or functions of the line's number."""
    return [
        {
            "id": number,
            "at": at(number).isoformat(),
            "x": measured(number)[0],
            "z": measured(number)[1],
        }
        | {name: value(number) if callable(value) else value for name, value in more.items()}
        for number in numbers
    ]


def is_ok(number: int) -> str:
    """The rule that labels follow: whether x is above zero."""
    return "ok" if measured(number)[0] > 0 else "broken"


def truths(
    numbers: Iterable[int], label: Callable[[int], Any] = is_ok, told: dt.timedelta | None = None
) -> list[Line]:
    """Lines of labels, told an hour after the reading."""
    delay = told or dt.timedelta(hours=1)
    return [
        {"id": number, "told": (at(number) + delay).isoformat(), "y": label(number)}
        for number in numbers
    ]


def land_lines(lakehouse: Lakehouse, name: str, read: list[Line], labels: list[Line]) -> None:
    """Lands a file of readings and one of labels, by the name."""
    times = [*(line["at"] for line in read), *(line["told"] for line in labels)]
    newest = max(map(dt.datetime.fromisoformat, times))
    for source, lines in zip(lakehouse.sources, (read, labels), strict=True):
        if lines:
            land(Path(lakehouse.landing) / source.name, name, lines, newest)


def land_days(lakehouse: Lakehouse, name: str, numbers: Iterable[int]) -> None:
    """Lands readings with their labels."""
    every = list(numbers)
    land_lines(lakehouse, name, readings(every), truths(every))
