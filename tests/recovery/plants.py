"""A small lakehouse with a history: lines of every kind, two versions, a person's rollback."""

from collections.abc import Iterable
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse.app.whole_way import run_pipeline
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.versions.promotion import rollback
from tests.support.small_model import Line, Settings, land_lines, readings, small_lakehouse, truths
from tests.support.written import A_DAY, ruled


def with_corrections(settings: Settings) -> None:
    """Labels may be corrected."""
    settings["labels"]["corrections"] = "take"


def opened_plant(spark: SparkSession, root: Path) -> Lakehouse:
    """The lakehouse at a root, under the settings of all tests here."""
    return small_lakehouse(spark, root, with_corrections)


def night(lakehouse: Lakehouse, name: str, days: Iterable[int]) -> None:
    """Land readings and labels of whole days, and run the pipeline."""
    land_night(lakehouse, name, days)
    run_pipeline(lakehouse, draws_page=False)


def land_night(lakehouse: Lakehouse, name: str, days: Iterable[int]) -> None:
    """Land readings and labels of whole days: broken lines, repeated ones, contradictions and a
    corrected label among them.
    """
    numbers = [number for day in days for number in range(day * A_DAY, (day + 1) * A_DAY)]
    read: list[Line] = [*readings(numbers), *readings(numbers[:3])]
    read += [{"id": numbers[0] + 1_000_000, "at": "never"}, {**read[1], "x": 0.123}]
    told = truths(numbers, ruled)
    told += [told[4], {**told[5], "y": "ok" if told[5]["y"] == "broken" else "broken"}]
    told += [{**told[6], "y": "no class"}]
    land_lines(lakehouse, name, [each for each in read if each["at"] != "never"], told)
    with (Path(lakehouse.landing) / "reading" / f"{name}.jsonl").open("a") as file:
        file.write('{"id": 1, \n{"id": 7000000, "at": "never", "x": 1, "z": 0}\n')


def plant(spark: SparkSession, root: Path) -> Lakehouse:
    """A first model, one that takes over when the rule has changed, and a person who goes back."""
    lakehouse = opened_plant(spark, root)
    night(lakehouse, "1", (0, 1))
    night(lakehouse, "2", (2, 3))
    night(lakehouse, "3", (4,))
    rollback(lakehouse, "ann", "the second one worries me")
    night(lakehouse, "4", (5,))
    return lakehouse
