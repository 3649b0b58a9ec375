"""Classes and features that change in the settings of a running lakehouse: a version means what it
was trained for.
"""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.app.whole_way import run_pipeline
from lakehouse.models import Classification
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.versions.ledger import PromotionLedger
from tests.support.small_model import (
    Settings,
    is_ok,
    land_lines,
    measured,
    readings,
    small_lakehouse,
    truths,
    unchanged,
)

FIRST, SECOND, THIRD = range(130), range(144, 274), range(288, 418)


def three_classes(number: int) -> str:
    return "damaged" if measured(number)[1] > 0.7 else is_ok(number)


def renamed_class(number: int) -> str:
    return is_ok(number).replace("broken", "bad")


def weight(number: int) -> float:
    return random.Random(-number).uniform(0, 9)


def add(settings: Settings) -> None:
    """Another class, another feature, and the features in another order."""
    settings["labels"]["columns"]["y"]["values"] = ["damaged", "ok", "broken"]
    settings["readings"]["columns"]["w"] = {"type": "double", "nullable": True}
    settings["predictions"]["features"] = ["w", "z", "x"]


def remove(settings: Settings) -> None:
    """A class and a feature less."""
    settings["readings"]["columns"]["z"]["nullable"] = True
    settings["predictions"]["features"] = ["x"]


def rename(settings: Settings) -> None:
    """A class and a feature under another name, the classes in another order."""
    settings["labels"]["columns"]["y"]["values"] = ["ok", "bad"]
    del settings["readings"]["columns"]["x"]
    settings["readings"]["columns"]["width"] = {"type": "double", "field": "x"}
    settings["predictions"]["features"] = ["z", "width"]


def with_damaged(settings: Settings) -> None:
    settings["labels"]["columns"]["y"]["values"] = ["broken", "damaged", "ok"]


def share_right(lakehouse: Lakehouse, version: str, label: Callable[[int], str]) -> float:
    rows = lakehouse.store.rows(
        lakehouse.catalog.predictions, columns=["id", "prediction", "model_version"]
    )
    calls = {row["id"]: row["prediction"] for row in rows if row["model_version"] == version}
    assert len(calls) >= 130
    return sum(label(number) == call for number, call in calls.items()) / len(calls)


@pytest.fixture(scope="module")
def started(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[bool], Lakehouse]:
    """A lakehouse whose first version knows two classes, or three."""
    found: dict[bool, Lakehouse] = {}

    def begin(three: bool) -> Lakehouse:
        if three not in found:
            root = tmp_path_factory.mktemp("started") / "lake"
            found[three] = small_lakehouse(spark, root, with_damaged if three else unchanged)
            label = three_classes if three else is_ok
            land_lines(found[three], "0", readings(FIRST), truths(FIRST, label))
            run_pipeline(found[three])
            assert PromotionLedger(found[three]).champion == "1"
        return found[three]

    return begin


@dataclass(frozen=True)
class Case:
    """A change of the settings: what labels follow before and after it, and what the next version
    then means.
    """

    change: Callable[[Settings], None]
    before: Callable[[int], str]
    after: Callable[[int], str]
    classes: set[str]
    features: set[str]


@pytest.mark.parametrize(
    "case",
    [
        Case(add, is_ok, three_classes, {"broken", "damaged", "ok"}, {"w", "x", "z"}),
        Case(remove, three_classes, is_ok, {"broken", "ok"}, {"x"}),
        Case(rename, is_ok, renamed_class, {"bad", "ok"}, {"width", "z"}),
    ],
    ids=lambda case: case.change.__name__,
)
def test_the_champion_goes_on_meaning_what_it_meant_and_the_next_version_means_the_new_settings(
    started: Callable[[bool], Lakehouse], tmp_path: Path, case: Case
) -> None:
    first = started(case.change is remove)
    lakehouse = small_lakehouse(
        first.spark, shutil.copytree(first.store.root, tmp_path / "lake"), case.change
    )
    more = {"w": weight} if "w" in case.features else {}
    land_lines(lakehouse, "1", readings(SECOND, **more), truths(SECOND, case.after))
    run_pipeline(lakehouse)
    assert (
        share_right(lakehouse, "1", case.before) > 0.9
    )  # the codes and columns of its own training
    version = PromotionLedger(lakehouse).champion
    meaning = PromotionLedger(lakehouse).meaning(version)
    assert isinstance(meaning.problem, Classification)
    assert set(meaning.problem.active) == case.classes
    assert set(meaning.features.names) == case.features
    land_lines(lakehouse, "2", readings(THIRD, **more), truths(THIRD, case.after))
    run_pipeline(lakehouse)
    assert share_right(lakehouse, version, case.after) > 0.9


def test_versions_of_the_same_file_keep_their_own_classes(
    spark: SparkSession, started: Callable[[bool], Lakehouse], tmp_path: Path
) -> None:
    def with_bad(settings: Settings) -> None:
        settings["labels"]["columns"]["y"]["values"] = ["bad", "ok"]

    first, second = started(False), small_lakehouse(spark, tmp_path / "lake", with_bad)
    land_lines(second, "0", readings(FIRST), truths(FIRST, renamed_class))
    run_pipeline(second)
    assert first.registry.version("1").sha256 == second.registry.version("1").sha256
    known = [
        PromotionLedger(lakehouse).meaning("1").problem.classes for lakehouse in (first, second)
    ]
    assert known == [("broken", "ok"), ("bad", "ok")]
